"""`moat completion`: has a shell complete what is typed."""

from __future__ import annotations

from moat.cli.options import Parser

EPILOG = """\
examples:
  source <(moat completion bash)                       in ~/.bashrc
  source <(moat completion zsh)                        in ~/.zshrc, behind compinit
  moat completion fish > ~/.config/fish/completions/moat.fish
"""

# Each asks the program that is typed, with the words up to the cursor, and is given words with what
# they are about behind a tab, or one that begins with a colon for what the shell knows itself.

# What readline replaces begins behind the last of its breaks; what stands before is cut off.
_BASH = r"""
_moat() {
    local line=${COMP_LINE:0:COMP_POINT} current cut word
    local -a words found
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current=${words[${#words[@]}-1]}
    cut=${current%"${current##*[:=]}"}
    mapfile -t found < <("$1" completion --words "${words[@]:1}" 2> /dev/null)
    COMPREPLY=()
    case ${found[0]-} in
    :files | :dirs | :commands)
        compopt -o filenames
        local -A actions=([:files]=file [:dirs]=directory [:commands]=command)
        mapfile -t COMPREPLY < <(compgen -A "${actions[${found[0]}]}" -- "${current#"$cut"}")
        return
        ;;
    esac
    for word in "${found[@]}"; do
        word=${word%%$'\t'*}
        [[ $word == *[:=] ]] && compopt -o nospace
        COMPREPLY+=("${word#"$cut"}")
    done
}
complete -F _moat moat
"""

_ZSH = r"""
#compdef moat
_moat() {
    local -a found plain
    local line
    found=("${(@f)$("${words[1]}" completion --words "${(@Q)words[2,CURRENT]}" 2> /dev/null)}")
    case ${found[1]} in
    :files) _files; return ;;
    :dirs) _files -/; return ;;
    :commands) _command_names -e; return ;;
    "") return 1 ;;
    esac
    for line in "${found[@]}"; do
        plain+=("${${line//:/\\:}/$'\t'/:}")
    done
    _describe 'moat' plain
}
compdef _moat moat
"""

_FISH = r"""
function __moat_words
    set -l typed (commandline -opc) (commandline -ct)
    set -l found ($typed[1] completion --words $typed[2..] 2> /dev/null)
    switch "$found[1]"
        case :files
            __fish_complete_path (commandline -ct)
        case :dirs
            __fish_complete_directories (commandline -ct)
        case :commands
            __fish_complete_command
        case '*'
            printf '%s\n' $found
    end
end
complete -c moat -f -a '(__moat_words)'
"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def main(arguments: list[str]) -> int:
    """Print the script of a shell; or what may be typed, to such a script."""
    if arguments[:1] == ["--words"]:
        from moat.cli.words import show_words

        show_words(arguments[1:])
        return 0
    parser = Parser(
        "completion",
        "Print what has a shell complete commands, options, runs, grants and groups of hosts.",
        epilog=EPILOG,
    )
    parser.add_argument("shell", metavar="SHELL", choices=sorted(_SCRIPTS), help="bash, zsh, fish")
    print(_SCRIPTS[parser.parse_args(arguments).shell].strip())
    return 0

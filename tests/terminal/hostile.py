"""What a hostile program prints, and what is left of it behind a filter."""

from __future__ import annotations

import re

# Each provokes an answer, sets the clipboard, sends a file, opens or announces something.
HOSTILE = {
    "clipboard": b"\x1b]52;c;cm0gLXJmIH4=\x07",
    "clipboard, asked": b"\x1b]52;c;?\x1b\\",
    "cursor": b"\x1b[6n",
    "cursor, leading zero": b"\x1b[06n",
    "cursor, private": b"\x1b[?6n",
    "status": b"\x1b[5n",
    "printer": b"\x1b[?15n",
    "attributes": b"\x1b[c",
    "attributes, 0": b"\x1b[0c",
    "attributes, second": b"\x1b[>c",
    "attributes, third": b"\x1b[=c",
    "identify": b"\x1bZ",
    "mode": b"\x1b[?2026$p",
    "ansi mode": b"\x1b[4$p",
    "setting": b"\x1bP$qm\x1b\\",
    "capability": b"\x1bP+q544e\x1b\\",
    "version": b"\x1b[>q",
    "version, 0": b"\x1b[>0q",
    "keyboard": b"\x1b[?u",
    "other keys": b"\x1b[?4m",
    "colour of text": b"\x1b]10;?\x07",
    "colour behind": b"\x1b]11;?\x1b\\",
    "colour of the cursor": b"\x1b]12;?\x07",
    "palette": b"\x1b]4;1;?\x07",
    "special colours": b"\x1b]5;1;?\x07",
    "colour set": b"\x1b]11;#000000\x07",
    "title, asked": b"\x1b[21t",
    "icon, asked": b"\x1b[20t",
    "size, asked": b"\x1b[18t",
    "size in pixels": b"\x1b[14t",
    "state of the window": b"\x1b[11t",
    "window made small": b"\x1b[2t",
    "window resized": b"\x1b[8;5;5t",
    "enquiry": b"\x05",
    "picture": b"\x1b_Gi=1,a=q;AAAA\x1b\\",
    "picture, sixels": b"\x1bPq#0;2;0;0;0#0~~\x1b\\",
    "private message": b"\x1b^message\x1b\\",
    "string": b"\x1bXstring\x1b\\",
    "file": b"\x1b]1337;File=inline=0:AAAA\x07",
    "notification": b"\x1b]9;Moat: type y\x07",
    "notification, other": b"\x1b]777;notify;Moat;type y\x07",
    "directory": b"\x1b]7;file://host/tmp\x07",
    "font": b"\x1b]50;?\x07",
    "tmux": b"\x1bPtmux;\x1b\x1b]52;c;cm0=\x07\x1b\\",
    "title of screen": b"\x1bktitle\x1b\\",
    "rectangle": b"\x1b[1;1;1;1;1;1*y",
    "parameters": b"\x1b[x",
    "presentation": b"\x1b[1$w",
    "media": b"\x1b[5i",
    "local functions": b"\x1b[>1p",
    "8-bit controls": b"\x1b G",
    "8-bit level": b"\x1b[62;0\"p",
    "another character set": b"\x1b%@",
    "following the mouse": b"\x1b[1;2;3;4;5T",
    "highlight tracking": b"\x1b[?1001h",
    "sizes told": b"\x1b[?2048h",
    "margins at the sides": b"\x1b[?69h",
    "132 columns": b"\x1b[?3h",
    "VT52": b"\x1b[?2l",
    "wide line": b"\x1b#6",
    "lines that have scrolled by": b"\x1b[3J",
    "keyboards of others": b"\x1b[<99999u",
    "titles of others": b"\x1b[23;0t",
    "a third alphabet": b"\x1b*0",
    "keypad link": b"\x1b]8;;file:///etc/passwd\x07",
    "script link": b"\x1b]8;;javascript:alert(1)\x07",
}  # fmt: skip

# The whole language a person's terminal may be told: text, these controls, and these sequences.
_ALLOWED = re.compile(
    r"[^\x00-\x06\x10-\x1f\x7f-\x9f]"
    r"|\x1b\[[0-9;:]*m"
    r"|\x1b\[[0-9;]*[@ABCDEFGHILMPSXZ`abdef]"
    r"|\x1b\[\??[0-2]?[JK]|\x1b\[[0-9]*T|\x1b\[[su]|\x1b\[[03]?g"
    r"|\x1b\[([0-9]{1,4})?(;([0-9]{1,4})?)?r"
    r"|\x1b\[4[hl]"
    r"|\x1b\[2[23](;[012])?(;0)?t"
    r"|\x1b\[\?(1|5|6|7|9|12|25|66|100[0234567]|101[56]|104[89]|2004|2026|2031)"
    r"(;(1|5|6|7|9|12|25|66|100[0234567]|101[56]|104[89]|2004|2026|2031))*[hl]"
    r"|\x1b\[>[0-9;]*u|\x1b\[<[0-9]*u|\x1b\[=[0-9]*(;[1-3])?u"
    r"|\x1b\[>4(;[0-9]*)?m|\x1b\[>4n"
    r"|\x1b\[[0-9]* q|\x1b\[!p"
    r"|\x1b([78=>DEHM]|[()][0AB]|\#8)"
    r"|\x1b\](0|1|2);[^\x00-\x1f\x7f-\x9f]*(\x07|\x1b\\)"
    r"|\x1b\]8;(id=[^;\x00-\x1f]*)?;(https?://[!-~]+)?(\x07|\x1b\\)"
    r"|\x1b\]133;[ABCD][^\x00-\x1f\x7f-\x9f?]*(\x07|\x1b\\)",
    re.IGNORECASE,
)


def assert_harmless(shown: bytes) -> None:
    """Nothing is in it but what is allowed, in strict UTF-8."""
    left = _ALLOWED.sub("", shown.decode(errors="strict"))
    assert left == "", f"{left!r} of {shown!r}"

"""One conversation, reduced to what the next answer depends on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, Self

from .body import Body, items_of
from .errors import ApiError

ShellTool = Literal["exec", "exec_command"]
"""The two ways Codex offers its shell: to JavaScript, or as a function of its own."""

CALLS = ("function_call", "custom_tool_call")
OUTPUTS = ("function_call_output", "custom_tool_call_output")


@dataclass(frozen=True)
class Conversation:
    """What was said, called and answered so far, over however many requests."""

    shell: ShellTool | None = None
    said: int = 0
    calls: frozenset[str] = frozenset()
    outputs: tuple[tuple[str, str], ...] = ()
    """Pairs of call id and text, in the order the model was shown them."""

    @property
    def answered(self) -> frozenset[str]:
        """The ids of the calls that have an output; a script may send several for one call."""
        return frozenset(call for call, _ in self.outputs)

    @property
    def taken(self) -> int:
        """How many of its turns the model has behind it."""
        return len(self.answered) + self.said

    def hear_request(self, body: Body) -> Self:
        """Return the conversation with a request added; raises ApiError if a call is left open."""
        heard = self.hear(items_of(body))
        open_calls = sorted(heard.calls - heard.answered)
        if open_calls:
            raise _bad_input(f"No tool output found for function call {open_calls[0]}.")
        return replace(heard, shell=_offered(body.get("tools") or []) or heard.shell)

    def hear(self, items: Iterable[Body]) -> Self:
        """Return the conversation with these items added, be they the client's or the model's."""
        heard = self
        for item in items:
            heard = heard._hear_item(item)
        return heard

    def _hear_item(self, item: Body) -> Self:
        match item:
            case {"type": "additional_tools", "tools": tools}:
                return replace(self, shell=_offered(tools) or self.shell)
            case {"type": "message", "role": "assistant"}:
                return replace(self, said=self.said + 1)
            case {"type": kind, "call_id": call} if kind in CALLS:
                return replace(self, calls=self.calls | {call})
            case {"type": kind, "call_id": call, "output": output} if kind in OUTPUTS:
                if call not in self.calls:
                    raise _bad_input(f"No tool call found for {kind} with call_id {call}.")
                return replace(self, outputs=(*self.outputs, (call, _text(output))))
            case _:
                return self


def _offered(tools: Iterable[Body]) -> ShellTool | None:
    """Find the shell among the tools, also in the namespaces that newer models get theirs in."""
    for tool in tools:
        match tool:
            case {"type": "custom", "name": "exec"}:
                return "exec"
            case {"type": "function", "name": "exec_command"}:
                return "exec_command"
            case {"type": "namespace", "name": "functions", "tools": list(inner)}:
                if found := _offered(inner):
                    return found
    return None


def _text(output: str | list[Body]) -> str:
    if isinstance(output, str):
        return output
    return "".join(str(part.get("text", "")) for part in output)


def _bad_input(message: str) -> ApiError:
    return ApiError(400, message, param="input")

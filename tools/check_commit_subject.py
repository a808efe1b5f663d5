"""`python tools/check_commit_subject.py FILE`: a commit-msg hook that rejects a long subject or one with a period."""

import sys
from pathlib import Path

MAX_LENGTH = 72


def problem(message: str) -> str | None:
    """What is wrong with the subject (the first line) of a commit message, or None."""
    subject, *rest = [line for line in message.splitlines() if not line.startswith("#")] or [""]
    if len(subject) > MAX_LENGTH:
        return f"the subject has {len(subject)} characters; expected at most {MAX_LENGTH}"
    if subject.endswith("."):
        return "the subject ends with a period"
    if rest and rest[0].strip():
        return "expected an empty line between the subject and the body"
    return None


if __name__ == "__main__":
    reason = problem(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if reason:
        raise SystemExit(f"commit message: {reason}")

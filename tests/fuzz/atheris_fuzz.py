"""Coverage-guided fuzzing: ``python tests/fuzz/atheris_fuzz.py tokens [libFuzzer's options] [folders]``.

``make fuzz`` runs each target for ten minutes. An input that breaks something is written as ``crash-…`` where
it was started: put it into ``corpus/<target>/`` under a name that says what it is, and it is tried for ever.
Needs the extra ``fuzz`` (atheris).
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["admitgate", "fuzz_targets"]):
    sys.path.insert(0, str(Path(__file__).parent))
    import fuzz_targets


def main() -> None:
    """One target, until its time is over."""
    name = sys.argv.pop(1)
    atheris.Setup([*sys.argv, "-max_len=400", "-timeout=5", "-rss_limit_mb=2048"], fuzz_targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""Turns `benchmarks/results/*.json` into docs/benchmarks.md: python benchmarks/tables.py"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INTRODUCTION = """# Benchmarks

Written by `python benchmarks/tables.py` from `benchmarks/results/`, which the benchmarks themselves write. The command
above a table runs it again. Times are medians; machines are shared, so trust ratios within a table more than single
times. `vs` says how many times faster than the peer in the same run.
"""


def table(rows: list[dict]) -> str:
    """One command's figures in Markdown."""
    first = rows[0]
    head = f"`{first['command']}`  \n{first['machine']}, commit {first['commit']}\n\n"
    head += "| figure | value | unit |\n|---|---:|---|\n"
    return head + "".join(f"| `{row['figure']}` | {row['value']:.4g} | {row['unit']} |\n" for row in rows)


def main() -> None:
    sections = [INTRODUCTION]
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        rows = json.loads(path.read_text())
        groups = groupby(rows, key=lambda row: (row["command"], row["machine"], row["commit"]))
        sections.append(f"## {path.stem.replace('_', ' ')}\n\n" + "\n".join(table(list(group)) for _, group in groups))
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join(sections))


if __name__ == "__main__":
    main()

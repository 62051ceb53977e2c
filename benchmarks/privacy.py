"""Detection of sensitive data over a labelled file: recall, false alarms and time a text.

    python benchmarks/privacy.py cases.jsonl [--json] [--held-out] [--misses]

Each line of the file is an object with `text`, `sensitive`, `kinds`, `lang` and, at will, `held_out`.
"""

import argparse
import json
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

from coreto.routing.privacy import detect_sensitive

TALK = "O relatório mostra que as vendas subiram e a equipe discutiu o plano com calma. "


def read(path: Path, *, held_out: bool) -> list[dict]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [row for row in rows if row.get("held_out")] if held_out else rows


def accuracy(rows: list[dict]) -> dict:
    """Recall and false alarms, in all, per language, and per kind (of its texts: found; called by its name)."""
    kinds: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    languages: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for row in rows:
        found = detect_sensitive(row["text"])
        languages[row["lang"]].append((row["sensitive"], found.sensitive))
        for kind in row["kinds"]:
            kinds[kind].append((found.sensitive, kind in found.kinds))
    everything = [pair for pairs in languages.values() for pair in pairs]
    return {
        "all": rates(everything),
        "languages": {name: rates(pairs) for name, pairs in sorted(languages.items())},
        "kinds": {
            name: {"n": len(pairs), "found": mean(f for f, _ in pairs), "named": mean(n for _, n in pairs)}
            for name, pairs in sorted(kinds.items())
        },
    }


def rates(pairs: list[tuple[bool, bool]]) -> dict:
    right = [found for wanted, found in pairs if wanted]
    wrong = [found for wanted, found in pairs if not wanted]
    return {"n": len(pairs), "sensitive": len(right), "recall": mean(right), "false_alarms": mean(wrong)}


def mean(values) -> float | None:
    listed = [float(value) for value in values]
    return sum(listed) / len(listed) if listed else None


def timing(rows: list[dict]) -> dict:
    """Milliseconds of processor time: a text of the file (each read 5 times, the best kept), and long ones."""
    texts = [row["text"] for row in rows]
    detect_sensitive(" ".join(texts))  # loads the parsers
    each = sorted(milliseconds(text, 5) for text in texts)
    mixed = "\n".join(texts)
    mixed *= 1_000_000 // len(mixed) + 1
    return {
        "median": statistics.median(each),
        "p95": each[int(len(each) * 0.95)],
        "max": each[-1],
        "talk 4.5 kB": milliseconds((TALK * 60)[:4_500], 5),
        "mixed 4.5 kB": milliseconds(mixed[:4_500], 5),
        "talk 1 MB": milliseconds((TALK * 13_000)[:1_000_000], 1),
        "mixed 1 MB": milliseconds(mixed[:1_000_000], 1),
    }


def milliseconds(text: str, times: int) -> float:
    best = float("inf")
    for _ in range(times):
        start = time.process_time_ns()
        detect_sensitive(text)
        best = min(best, (time.process_time_ns() - start) / 1e6)
    return best


def percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def markdown(result: dict) -> str:
    lines = ["| texts | n | sensitive | recall | false alarms |", "|---|--:|--:|--:|--:|"]
    for name, row in (("all", result["accuracy"]["all"]), *result["accuracy"]["languages"].items()):
        lines.append(
            f"| {name} | {row['n']} | {row['sensitive']} | {percent(row['recall'])} | {percent(row['false_alarms'])} |"
        )
    lines += ["", "| kind | n | found | by its name |", "|---|--:|--:|--:|"]
    for name, row in result["accuracy"]["kinds"].items():
        lines.append(f"| {name} | {row['n']} | {percent(row['found'])} | {percent(row['named'])} |")
    lines += ["", "| CPU time | ms |", "|---|--:|"]
    lines += [f"| {name} | {value:.3f} |" for name, value in result["ms"].items()]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--held-out", action="store_true", help="only the texts that no rule was tuned on")
    parser.add_argument("--misses", action="store_true", help="print what was judged wrongly")
    options = parser.parse_args()
    rows = read(options.file, held_out=options.held_out)
    result = {"accuracy": accuracy(rows), "ms": timing(rows)}
    print(json.dumps(result, indent=2) if options.json else markdown(result))
    if options.misses:
        for row in rows:
            if detect_sensitive(row["text"]).sensitive != row["sensitive"]:
                print("missed" if row["sensitive"] else "alarm", row["kinds"], row["text"], file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())

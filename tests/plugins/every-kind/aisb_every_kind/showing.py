"""A reporter that writes one line a result, and an importer of answer sheets."""

import csv

from aisb import ImportedAnswer, ImportedRow, ImportedTask, Importer, Reporter


class OneLine(Reporter):
    """Write one line a result to summary/one-line.txt."""

    def report(self, run):
        lines = [
            f"{result.task} {result.model} {result.headline.name} {result.headline.value:.2f}"
            for result in run.results
        ]
        file = run.folder / "summary" / "one-line.txt"
        file.write_text("\n".join(lines) + "\n")
        return [file]


class AnswerSheet(Importer):
    """Read answer sheets: CSV files with question, answer and reply."""

    reads = "a .csv file with the columns question, answer and reply"

    def read(self, path):
        if path.suffix != ".csv":
            return None
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows or not {"question", "answer", "reply"} <= rows[0].keys():
            return None
        return [
            ImportedTask(
                "answer sheets",
                path,
                "pupil",
                path.stem,
                tuple(
                    ImportedRow(
                        number, row["question"], row["answer"], (ImportedAnswer(row["reply"]),), fields=row
                    )
                    for number, row in enumerate(rows)
                ),
            )
        ]

"""Answers of `quiz`: a line each, `question;answer;model's answer`."""

from aisb import DataError, ImportedAnswer, ImportedRow, ImportedTask, Importer


class Quiz(Importer):
    """Reads files of quiz."""

    reads = "a .quiz file"

    def read(self, path):
        """Return the one task of a file."""
        if path.suffix != ".quiz":
            return None
        return [ImportedTask("quiz", path, "pen-8b", path.stem, tuple(self._rows(path)))]

    def _rows(self, path):
        for position, line in enumerate(path.read_text().splitlines()):
            parts = line.split(";")
            if len(parts) != 3:
                raise DataError(
                    f"{path}, line {position + 1}: three fields are wanted, and it has {len(parts)}"
                )
            question, right, answer = parts
            fields = {"question": question, "answer": f"#### {right}"}
            yield ImportedRow(position, question, right, (ImportedAnswer(answer),), fields)

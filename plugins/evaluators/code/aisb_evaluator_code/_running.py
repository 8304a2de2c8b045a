"""Grade a program by running it against its tests in separate boxes, if that is allowed."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Annotated, Any

from aisb import Evaluator, Sample, Score, UsageError
from aisb_evaluator_code._python_source import completed
from aisb_evaluator_code._stopping import AnswerBoxes
from aisb_processes import ALLOW_CODE, is_set

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from aisb_evaluator_code._sandbox import Containment

ALLOW_UNCONTAINED = "AISB_ALLOW_UNCONTAINED"
CONTAINER = "AISB_CODE_CONTAINER"

_threads: dict[int, ThreadPoolExecutor] = {}
_lock = threading.Lock()
_warned: set[str] = set()


class CodeRun(Evaluator):
    """Correct if the program passes its tests. Programs run in boxes without network, files or privileges.

    A row has the tests in `test` (a text, or a list of texts), and may have `entry_point` (the function
    for a `check` in the tests), `prelude` (the program that the answer completes), `setup` (lines before the
    tests), `language` (python, cpp, java, js) and, for programs that read their input, `cases`.
    """

    reads = "text"

    def __init__(
        self,
        *,
        allow: Annotated[bool, "run programs that a model wrote (also: AISB_ALLOW_CODE_EXECUTION=1)"] = False,
        allow_uncontained: Annotated[
            bool, "also run them without protection of your files and network (AISB_ALLOW_UNCONTAINED=1)"
        ] = False,
        container: Annotated[
            str, "run programs in containers of this image, with docker or podman (AISB_CODE_CONTAINER=IMAGE)"
        ] = "",
        seconds: Annotated[float, "CPU time limit of one program, in seconds"] = 10.0,
        memory: Annotated[
            int, "memory limit of one process in MB; the limit with child processes is 64 MB higher"
        ] = 1024,
        workers: Annotated[int, "number of concurrent programs; 0: one for each core"] = 0,
    ) -> None:
        if not 0 < seconds <= 3600:
            raise UsageError(f"seconds = {seconds}: it must be more than 0 and at most 3600")
        if memory < 64:
            raise UsageError(f"memory = {memory}: it must be at least 64 MB, which Python itself needs")
        if workers < 0:
            raise UsageError(f"workers = {workers}: it must be 0 (one for each core) or more")
        if not (allow or is_set(ALLOW_CODE)):
            raise UsageError(
                "grading this task runs programs of the model, which is off by default\n"
                f"  to run them in a sandbox: --allow-code-execution, {ALLOW_CODE}=1 in the environment, "
                "or allow = true in this table"
            )
        self.seconds = seconds
        self.memory = memory
        self.workers = workers or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        self.image = container or os.environ.get(CONTAINER, "").strip()
        from aisb_evaluator_code._container import check_image
        from aisb_evaluator_code._sandbox import containment

        if self.image:
            check_image(self.image)
            self.box = f"container of {self.image}"
        else:
            self.box = containment().box
            warn(containment(), allowed=allow_uncontained or is_set(ALLOW_UNCONTAINED))

    async def score(self, answer: str | None, sample: Sample) -> Score:
        """Run one program against its tests."""
        import asyncio

        loop, boxes = asyncio.get_running_loop(), AnswerBoxes()
        try:
            found = await loop.run_in_executor(_pool(self.workers), self._run, answer or "", sample, boxes)
        except asyncio.CancelledError:
            boxes.stop()
            raise
        details = {key: found[key] for key in ("problem", "test") if found.get(key)}
        details["box"] = self.box
        if "error" in found:
            return Score(0.0, "error", details={"raised": found["error"], "box": self.box})
        return Score(1.0 if found["passed"] else 0.0, details=details)

    def _run(self, answer: str, sample: Sample, boxes: AnswerBoxes) -> dict[str, Any]:
        with boxes.of_this_thread():
            return self._found(answer, sample)

    def _found(self, answer: str, sample: Sample) -> dict[str, Any]:
        from aisb_evaluator_code import _languages as languages
        from aisb_evaluator_code import _sandbox as sandbox

        limits = sandbox.Limits(seconds=self.seconds, memory=self.memory, image=self.image)
        fields = sample.fields
        language = str(fields.get("language") or "python")
        if fields.get("cases"):
            return languages.run_cases(answer, fields, limits)
        if language != "python":
            return languages.run_tests(language, answer, fields, limits)
        prompt, entry = str(fields.get("prelude") or ""), fields.get("entry_point") or None
        tests = fields.get("test")
        texts = [str(one) for one in tests] if isinstance(tests, list | tuple) else [str(tests or "")]
        if not any(text.strip() for text in texts):
            return {"passed": False, "error": "the row has no tests in the field 'test'"}
        setup = str(fields.get("setup") or "")
        program = completed(prompt, answer, entry)
        before = len(program.strip().splitlines()) - len(answer.strip().splitlines())
        return sandbox.run_tests(
            program,
            [setup, *texts] if setup.strip() else texts,
            entry=entry,
            prelude=prompt,
            limits=limits,
            lines_before=before,
        )


def warn(found: Containment, *, allowed: bool) -> None:
    """Print once what is not contained.

    Raises:
        UsageError: there is no containment, and the user did not allow that.
    """
    if not found.open:
        return
    why = f" ({found.reason})" if found.reason else ""
    if not found.unprivileged and not allowed:
        raise UsageError(
            f"this machine does not allow namespaces{why}, so programs could access {found.open}\n"
            "  run as a user who may create namespaces (kernel.unprivileged_userns_clone = 1), or set\n"
            f"  {ALLOW_UNCONTAINED}=1 (allow_uncontained = true) to limit only time and memory,\n"
            f'  or set an image to run them in containers: {CONTAINER}=IMAGE (container = "IMAGE")'
        )
    if found.open not in _warned:
        _warned.add(found.open)
        sys.stderr.write(f"warning: programs run without namespaces{why}; not contained: {found.open}\n")


def _pool(workers: int) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    with _lock:
        if workers not in _threads:
            _threads[workers] = ThreadPoolExecutor(workers, thread_name_prefix="code-run")
        return _threads[workers]

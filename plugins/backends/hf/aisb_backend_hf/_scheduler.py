"""The thread of a local model: requests arrive at any time, and rows join and leave the batch.

Waiting requests are taken in windows, longest first, so that batches have similar lengths. Later requests
wait for the next window, so that none starves. When memory runs out, all rows are removed, the batch
size is halved, and the rows are computed again: no request is lost.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch

from aisb import AttemptFailed, Failure
from aisb_backend_hf._device import is_out_of_memory, memory, release
from aisb_backend_hf._generation import Generation
from aisb_backend_hf._live import Meter
from aisb_backend_hf._packing import shared
from aisb_backend_hf._requests import BatchRow, ScoredText, deliver, failed
from aisb_backend_hf._sampling import choose
from aisb_backend_hf._scoring import Scoring

FIRST_ROWS = 16
MOST_ROWS = {"cpu": 128}
MOST_ROWS_ELSEWHERE = 512
SHARE_OF_MEMORY = {"cpu": 0.5}
SHARE_ELSEWHERE = 0.85
MIN_BATCH_TOKENS = 64
LULL = 0.002
"""Work on the requests in the queue begins after this many seconds without a new one."""
NOT_NUMBERS = (
    "the model's logits are not numbers (NaN) for this prompt; float16 overflows in many models: "
    "set model.dtype=bfloat16 or float32, and check that the weights are complete"
)


class Scheduler:
    """Processes requests until closed. `limit` is the batch size; with `grows` it is found automatically."""

    def __init__(
        self,
        generation: Generation,
        scoring: Scoring,
        *,
        limit: int,
        grows: bool,
        clock: Callable[[], int],
        meter: Meter,
        device: Any,
    ) -> None:
        self._generation = generation
        self._scoring = scoring
        self._grows = grows
        self._clock = clock
        self._device = device
        self._inbox: queue.SimpleQueue[BatchRow | ScoredText | None] = queue.SimpleQueue()
        self._window: list[BatchRow] = []
        self._later: list[BatchRow] = []
        self._scores: list[ScoredText] = []
        self._closed = False
        self.meter = meter
        self._set_limit(limit)
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    def submit(self, item: BatchRow | ScoredText) -> None:
        """Queue a request; its results go to its stream."""
        self._inbox.put(item)

    def close(self) -> None:
        """Stop the thread; unfinished requests stay unanswered."""
        self._inbox.put(None)
        self._thread.join()

    def _work(self) -> None:
        with torch.inference_mode():
            while not self._closed:
                self._listen()
                if self._closed:
                    return
                try:
                    self._turn()
                except Exception as error:  # noqa: BLE001 - requests: they fail with it, and are counted
                    self._fail_all(error)

    def _listen(self) -> None:
        """Take new requests from the queue; wait if there is no work."""
        idle = not (self._generation.rows or self._window or self._later or self._scores)
        wait: float | None = None if idle else 0.0
        while True:
            try:
                item = self._inbox.get(block=wait != 0.0, timeout=wait)
            except queue.Empty:
                return
            if item is None:
                self._closed = True
                return
            if isinstance(item, BatchRow):
                self._later.append(item)
            else:
                self._scores.append(item)
            if idle:
                wait = LULL

    def _turn(self) -> None:
        if self._scores:
            mine, self._scores = [one for one in self._scores if not one.cancelled], []
            self._scoring.run(mine)
        for row in [row for row in self._generation.rows if row.cancelled]:
            self._generation.leave(row)
        try:
            self._admit()
            if self._generation.rows:
                rows = list(self._generation.rows)
                self._advance(rows, self._generation.step())
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self._make_room(error)
        self.meter.update()

    def _admit(self) -> None:
        """Add waiting rows to the batch while there is room."""
        if not self._window and self._later:
            self._window, self._later = [row for row in self._later if not row.cancelled], []
            for row, common in zip(self._window, shared([row.tokens for row in self._window]), strict=True):
                row.shared = common
            self._window.sort(key=lambda row: len(row.prompt), reverse=True)
        self._grow()
        free = self._limit - len(self._generation.rows)
        if not self._window or free < min(len(self._window), max(1, self._limit // 8)):
            return  # computing a prompt delays all other rows, so several are computed together
        rows = [row for row in self._window[:free] if not row.cancelled]
        self._joining, self._window = rows, self._window[free:]
        for batch, logits in self._generation.fill(rows):
            self._advance(batch, logits)
            done = set(map(id, batch))
            self._joining = [row for row in self._joining if id(row) not in done]

    _joining: Sequence[BatchRow] = ()

    def _advance(self, rows: Sequence[BatchRow], logits: Any) -> None:
        """Choose the next token of each row, and deliver the new text."""
        self.meter.most_rows = max(self.meter.most_rows, len(self._generation.rows))
        chosen = choose(logits, rows)
        stamp = self._clock()
        broken = set(chosen.broken)
        told: list[tuple[Any, Any]] = []
        for number, (row, token) in enumerate(zip(rows, chosen.tokens, strict=True)):
            if number in broken:
                told.append((row.stream, failed(NOT_NUMBERS)))
                self._generation.leave(row)
                continue
            self.meter.generated += 1
            chunk, ended = row.take(token, stamp)
            if chunk is not None:
                told.append((row.stream, chunk))
            if ended:
                self._generation.leave(row)
        self.meter.rows = len(self._generation.rows)
        deliver(told)

    def _grow(self) -> None:
        """Increase the batch size while memory allows and enough rows wait."""
        rows = len(self._generation.rows)
        if not self._grows or rows < self._limit or not self._window:
            return
        most = MOST_ROWS.get(self._device.type, MOST_ROWS_ELSEWHERE)
        used, free = memory(self._device)
        self.meter.memory = used
        if 2 * self._limit > most or self._generation.held > free * self._share:
            self._grows = self._limit < most
            return
        self._set_limit(2 * self._limit)

    @property
    def _share(self) -> float:
        return SHARE_OF_MEMORY.get(self._device.type, SHARE_ELSEWHERE)

    def _make_room(self, error: BaseException) -> None:
        """Remove all rows and halve the batch size; a row that does not fit alone fails."""
        rows = [*self._generation.clear(), *self._joining]
        rows = list({id(row): row for row in rows}.values())
        self._joining = ()
        self.meter.out_of_memory += 1
        self._grows = False
        release(self._device)
        if len(rows) <= 1 and self._generation.budget <= MIN_BATCH_TOKENS:
            deliver([(row.stream, failed(_too_big(row, error))) for row in rows])
            rows = []
        self._generation.budget = max(MIN_BATCH_TOKENS, self._generation.budget // 2)
        self._set_limit(max(1, min(self._limit, len(rows) or 1) // 2))
        self._window = [*rows, *self._window]

    def _set_limit(self, limit: int) -> None:
        self._limit = self.meter.limit = limit

    def _fail_all(self, error: Exception) -> None:
        """Fail every request in progress."""
        words = f"the model failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        failure = AttemptFailed(Failure("protocol", words))
        rows = [*self._generation.clear(), *self._joining]
        self._joining = ()
        deliver([(row.stream, failure) for row in {id(row): row for row in rows}.values()])


def _too_big(row: BatchRow, error: BaseException) -> str:
    words = " ".join(str(error).split())[:160]
    return (
        f"out of memory with this single request ({len(row.tokens)} tokens): {words}; "
        "shorten the prompt (model.max_seq_len, model.truncate), or use another dtype or device"
    )

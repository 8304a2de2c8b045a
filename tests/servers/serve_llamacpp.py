"""Run llama.cpp's own server out of the xllamacpp wheel: serve_llamacpp.py MODEL.gguf PORT [CHAT TEMPLATE]."""

import signal
import sys
import threading
from pathlib import Path

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.model_alias = {"smollm2"}
params.hostnames, params.port = ["127.0.0.1"], int(sys.argv[2])
params.n_ctx, params.n_parallel = 8192, 4
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # two are slower where cores are shared
params.endpoint_metrics = True
if sys.argv[3:]:
    params.chat_template = Path(sys.argv[3]).read_text(encoding="utf-8")
server = xllamacpp.Server(params)  # it runs for as long as this is held
ended = threading.Event()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: ended.set())
ended.wait()

"""`aisb view`: a local web page that lists runs, follows one, opens their pages, and compares two."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click


@click.command()
@click.argument(
    "work_dir",
    metavar="[DIR]",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("outputs/default"),
)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=None, metavar="N", help="Port [default: a free one]."
)
@click.option("--open", "open_it", is_flag=True, help="Open it in your browser.")
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write the pages of all runs into FOLDER for any web server, with secrets masked, and exit.",
)
@click.pass_context
def view(
    context: click.Context, work_dir: Path, port: int | None, bundle: Path | None, *, open_it: bool
) -> int:
    """Show the runs of a work folder in a browser: list them, follow one, read its samples, compare two.

    It listens on this machine only (127.0.0.1), changes nothing, and answers only requests with the token in
    the printed address. DIR is outputs/default by default.

    \b
      aisb view
      aisb view results/qwen --open
      aisb view --bundle public
    From another machine:
      ssh -L 8765:127.0.0.1:8765 HOST aisb view --port 8765
    """  # noqa: D301 - \b is for click
    from aisb import UsageError

    if not work_dir.is_dir():
        raise UsageError(
            f"there is no folder {work_dir}: name the folder with your runs, or make a first run with\n"
            "  aisb run --models sim --datasets demo_gsm8k"
        )
    if bundle is not None:
        if port is not None or open_it:
            raise UsageError("--bundle writes files and starts no server: omit --port and --open")
        return _write_bundle(bundle, work_dir, context)
    _serve(work_dir, port or 0, context, open_it=open_it)
    return 0


def _write_bundle(folder: Path, work_dir: Path, context: click.Context) -> int:
    """Write a bundle, and say what it contains; return 1 if the report of a run could not be made."""
    from aisb_cli.viewing.bundle import write_bundle

    plugins = context.obj.load_plugins(quiet=True)
    bundle = write_bundle(folder, work_dir, plugins, note=lambda line: click.echo(line, err=True))
    for run, problem in bundle.problems.items():
        click.echo(f"{run}: no report: {problem}", err=True)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    runs = f"{bundle.runs} run{'' if bundle.runs == 1 else 's'}"
    click.echo(
        f"{folder}: {runs}, {bundle.written} written, {bundle.removed} removed, {size / 1e6:.1f} MB\n"
        f"  serve it with any web server, for example: python -m http.server --bind 127.0.0.1 -d {folder}"
    )
    return 1 if bundle.problems else 0


def _serve(work_dir: Path, port: int, context: click.Context, *, open_it: bool) -> None:
    """Serve the pages until Ctrl-C."""
    import secrets
    import socket

    import uvicorn

    from aisb import UsageError
    from aisb_cli.viewing.reading import RunReader
    from aisb_cli.viewing.server import make_app

    token = secrets.token_urlsafe(24)
    app = make_app(RunReader(work_dir, lambda: context.obj.load_plugins(quiet=True)), token)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
            listening.listen(128)  # from here on connections wait until the server answers
        except OSError as error:
            raise UsageError(
                f"port {port} of 127.0.0.1 cannot be used: {error.strerror}; omit --port for a free one"
            ) from error
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/{token}/"
        click.echo(f"the runs in {work_dir}: {url}\n  Ctrl-C ends it")
        if open_it:
            click.launch(url)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", access_log=False))
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])

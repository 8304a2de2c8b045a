"""Commands, declared and not imported."""

from aisb import Command, hookimpl


@hookimpl
def aisb_commands():
    """Declare commands of one and of two words, one that fails, and options of `run`."""
    place = "aisb_test_cost.command"
    return [
        Command("cost", "Say what a run cost.", f"{place}:cost", run_options=f"{place}:run_options"),
        Command("cost-fails", "Fail with an error of Python.", f"{place}:fails"),
        Command("cost-refuses", "Refuse with an error of aisb.", f"{place}:refuses"),
        Command("cost-lost", "Be nowhere.", "aisb_test_cost.absent:lost"),
        Command("runs price", "Put a price on a run.", f"{place}:price"),
        Command("budget show", "Show the budget.", f"{place}:budget"),
        Command("twin", "Be there twice.", f"{place}:cost"),
    ]

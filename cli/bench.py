"""``bench latency ARTIFACT``: how fast something trained answers, beside the bare backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from .console import foreign, notes, print_json, print_table, session
from .options import Json, StoreFolder, read_numbers

if TYPE_CHECKING:
    from adapterstilts.studies.latency import Latency

app = typer.Typer(name="bench", help="Measure what was trained: how fast it answers.", no_args_is_help=True)

COLUMNS = (
    "length",
    "batch",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "mean ms",
    "examples/s",
    "backbone ms",
    "ratio",
    "tokens ms",
)


@app.callback()
def _group() -> None:
    """Keep `latency` a command of its own, also while it is the only one."""


@app.command()
def latency(
    artifact: Annotated[str, typer.Argument(help="Id of an artifact, or its beginning; see `adapterstilts runs`.")],
    lengths: Annotated[str, typer.Option("--lengths", help="Lengths of the inputs, in tokens.")] = "32,128,384",
    batches: Annotated[str, typer.Option("--batches", help="Examples a batch.")] = "1,8,32",
    threads: Annotated[int | None, typer.Option("--threads", help="Threads of torch, on the CPU.")] = None,
    seconds: Annotated[
        float,
        typer.Option("--seconds", help="Measure each length and batch at least so long, the bare backbone included."),
    ] = 10.0,
    drop_layers: Annotated[
        str | None,
        typer.Option("--drop-layers", help="Skip the adapters of layers such as 0-4 (0 is the lowest)."),
    ] = None,
    merge_lora: Annotated[
        bool, typer.Option("--merge-lora", help="Add LoRA to the weights of the backbone before measuring.")
    ] = False,
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="Where the backbone is, if no longer where it was.")
    ] = None,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Measure how fast an adapter, composition or ensemble answers, in turn with the bare backbone.

    Example: adapterstilts bench latency xnli.mnli+squad --lengths 128 --batches 1,32
    """
    with session() as reporter:
        from adapterstilts.studies.latency import latency

        found = latency(
            artifact,
            lengths=read_numbers(lengths, "--lengths", "32,128"),
            batches=read_numbers(batches, "--batches", "1,8"),
            threads=threads,
            seconds=seconds,
            drop_layers=drop_layers,
            merge=merge_lora,
            backbone=backbone,
            store=store,
            reporter=reporter,
        )
        if json:
            print_json(found.to_json())
        else:
            _show(found)


def _show(found: Latency) -> None:
    told = found.to_json()
    ways = [f"without adapters in layers {told['drop_layers']}"] if found.drop_layers else []
    ways += ["LoRA merged"] if found.merged else []
    title = ", ".join([f"{found.artifact.id} on {found.backbone}", found.device, found.precision, *ways])
    table = Table(title=foreign(title), title_justify="left", title_style="bold")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for cell in found.cells:
        timing = cell.timing
        times = (timing.p50, timing.p90, timing.p99, timing.mean, cell.examples_per_second, timing.beside)
        numbers = [*(f"{value:.1f}" for value in times), f"{timing.ratio:.3f}", f"{cell.tokenisation:.1f}"]
        table.add_row(str(cell.length), str(cell.batch), *numbers)
    print_table(table)
    for member in found.members:
        if fusion := member.fusion:
            fast = f"the fusion of {fusion.adapters} is fast in {fusion.fast} of {fusion.layers} layers"
            notes.print(f"{foreign(member.artifact)}: {fast}.", soft_wrap=True)
            for name, why in fusion.slow.items():
                notes.print(f"  {foreign(name)}: {foreign(why)}", soft_wrap=True)
    if len(found.members) > 1:
        notes.print(f"An answer takes all {len(found.members)} members, one after the other.", soft_wrap=True)
    memory = ", ".join(
        f"{name.removesuffix('_bytes')} {count / 1e6:.0f} MB" for name, count in found.peak_memory.items()
    )
    packages = ", ".join(f"{name} {found.versions[name]}" for name in ("adapterstilts", "torch", "adapters"))
    notes.print(f"Threads: {found.threads}. Peak memory: {memory}. {packages}.", soft_wrap=True)

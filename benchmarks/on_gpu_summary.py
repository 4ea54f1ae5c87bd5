"""What on_gpu.py has measured, as Markdown for people."""

from typing import Any

Json = dict[str, Any]


def summary(report: Json) -> str:
    """Everything that was measured, as Markdown for people."""
    environment = report["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    lines = [
        f"# {environment['gpu'] or environment['backend']}, {environment['date'][:10]}",
        "",
        f"Commit {environment['commit'] or 'unknown'}; Python {environment['python']}, {versions}; "
        f"{environment['processor']}. {report['seconds']:.0f} s for all parts.",
    ]
    if environment["quick"]:
        lines += ["", "A quick run, to see that all parts work: its times mean nothing."]
    for name, outcome in report["parts"].items():
        lines += ["", f"## {outcome['title']}", ""]
        result = outcome.get("result")
        if outcome["status"] != "done":
            lines += [f"**{outcome['status']}**", "", *quoted(outcome)]
        if result and name == "kernels":
            lines += kernel_table(result)
        elif result and name.startswith("step"):
            lines += step_table(result)
        elif result and name.startswith("train"):
            lines += training_table(result)
        elif name == "tests" and outcome["status"] == "done":
            lines += [last_line(outcome["output"])]
    return "\n".join(lines) + "\n"


def quoted(outcome: Json) -> list[str]:
    """The end of what a part printed, and of what went wrong."""
    texts = (outcome.get("output") or "", outcome.get("errors") or "")
    said = [line for text in texts for line in text.strip().splitlines()[-12:]]
    return ["```", *said, "```", ""] if said else []


def last_line(output: str) -> str:
    return (output.strip().splitlines() or ["nothing was printed"])[-1].strip("= ")


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    return [
        f"| {' | '.join(header)} |",
        f"|{'---|' * len(header)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def kernel_table(result: Json) -> list[str]:
    ceilings, version = result["ceilings"], result["torch"]
    peer = (
        f"PyTorch {version}, the better of its memory formats: with TF32 off, and of convolutions "
        "as it computes them by itself, in TF32"
    )
    rows = [
        [
            one["problem"],
            one["operation"],
            one["variant"] + (" (chosen)" if one["variant"] and one["chosen"] else ""),
            f"{1e3 * one['ours']['median']:.4g}",
            f"{one['tflops']:.3g}",
            f"{one['gb_per_second']:.4g}",
            f"{one['share_of_ceiling']:.0%}",
            compared(one["ratio"], one["torch_best"]),
            compared(one["ratio_tf32"], one["torch_best_tf32"]),
        ]
        for one in result["measurements"]
    ]
    header = ["problem", "operation", "variant", "µs", "TFLOP/s", "GB/s", "of ceiling",
              "ours / torch", "ours / torch in TF32"]  # fmt: skip
    return [
        f"Ceilings measured in the same run: {ceilings['gb_per_second']:.4g} GB/s of memory, "
        f"{ceilings['tflops']:.3g} TFLOP/s of FP32. "
        f"{peer if version else 'Without PyTorch'}.",
        "",
        *table(header, rows),
    ]


def compared(ratio: float | None, name: str | None) -> str:
    """A ratio, and in which memory format PyTorch was faster; empty without PyTorch."""
    if ratio is None or name is None:
        return ""
    return f"{ratio:.2f} ({name.removeprefix('torch, ').removesuffix(', TF32')})"


def step_table(result: Json) -> list[str]:
    theirs = result.get("torch", {})
    rows = [["gpucnn", f"{result['ours_ms']:.3g}", ""]]
    rows += [[f"torch, {name}", f"{one['median']:.3g}", f"{one['ratio']:.2f}"]
             for name, one in theirs.items()]  # fmt: skip
    return table([f"batch {result['batch_size']}", "median ms", "gpucnn / torch"], rows)


def training_table(result: list[Json]) -> list[str]:
    rows = [[one["name"], f"{one['accuracy']:.2%}", f"{one['seconds']:.2f}"] for one in result]
    epochs = result[0]["epochs"]
    return table([f"{epochs} epoch{'s' if epochs > 1 else ''}", "test accuracy", "seconds"], rows)

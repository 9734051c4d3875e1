"""`numtx train`: train an example and see it learn."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from ..arguments.json_output import add_json
from ..arguments.options import add_lang, whole
from ..arguments.source import add_example, named_example
from ..errors import UsageError
from ..show.wrap import tell

if TYPE_CHECKING:
    from ..examples.example import Example
    from ..training.recipe import Recipe
    from ..training.run import Run

DEMONSTRATIONS = ("exposure", "peeking", "depth", "flow")


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "train",
        help="train an example: loss curve, final loss, greedy output against its target",
        description="Train an example until it can say its sentence, and show how it learns.",
    )
    add_json(parser, run)
    add_example(parser, "weather")
    parser.add_argument(
        "--steps", type=whole(1), metavar="N",
        help="steps from the start (default 1000; 50 for a wide model such as memory's)",
    )  # fmt: skip
    parser.add_argument("--optimizer", choices=("sgd", "adamw"), help="default adamw")
    parser.add_argument(
        "--learning-rate", type=float, metavar="X",
        help="default 0.003 (adamw; 0.0003 for a wide model) or 0.001 (sgd); with --warmup the "
        "highest rate",
    )  # fmt: skip
    parser.add_argument("--clip", type=float, metavar="X", help="longest gradient left as it is")
    parser.add_argument(
        "--warmup", type=whole(0), metavar="N",
        help="steps of growing rate, then decay with the square root of the step; without "
        "--learning-rate the schedule of the original paper",
    )  # fmt: skip
    parser.add_argument(
        "--label-smoothing", type=float, metavar="X", help="share of the target for all words"
    )
    parser.add_argument("--seed", type=whole(0), metavar="N", help="default 0")
    parser.add_argument("--save", metavar="FILE", help="write the run to a file as it goes")
    parser.add_argument("--resume", metavar="FILE", help="go on with a run from a file")
    parser.add_argument(
        "--demo", choices=DEMONSTRATIONS,
        help="instead: what the documents say of training, measured",
    )  # fmt: skip
    add_lang(parser)
    parser.add_argument(
        "--width", type=whole(20), metavar="N", help="columns (default: the terminal's, or 80)"
    )


def run(args: argparse.Namespace) -> int:
    import numpy as np

    from ..files import target
    from ..pictures.curve import curve_text
    from ..show.headings import pick, say
    from ..show.wrap import columns
    from ..stages.resolve import resolve
    from ..training.greedy import answers
    from ..training.loop import train
    from ..training.recipe import default_steps
    from ..training.text import answers_text

    example = named_example(args, "weather")
    width = args.width or columns()
    if args.save is not None:
        target(args.save)  # what cannot be written is said before the work
    if args.demo:
        for name in ("save", "resume", "json"):
            if getattr(args, name) is not None:
                raise UsageError(f"--{name} with --demo, which keeps no run; drop it")
        return _demonstrate(args, example, width)
    training = _resumed(args, example) if args.resume is not None else _fresh(args, example)
    tell(f"numtx train {example.name}: {say(example.title, args.lang)}", width=width)
    tell(_describe(training, args.lang), width=width)
    steps = args.steps or max(default_steps(training.config), training.step)
    if steps < training.step:
        raise UsageError(f"--steps {steps}: the run has already taken {training.step}")
    sys.stdout.flush()
    train(training, example.batch, steps, on_step=args.progress.steps(steps), save=args.save)
    title = pick(args.lang, "损失随步数的变化", "loss against steps")
    tell(f"\n{title}\n{curve_text(training.losses, width)}\n", width=width)
    if training.losses:
        losses = f"{training.losses[0]:.6f} -> {training.losses[-1]:.6f}"
        at = pick(args.lang, f"（第 {training.step} 步）", f" at step {training.step}")
        name = pick(args.lang, *resolve(training.config)["loss"].leaf.title).lower()
        tell(f"{name} {losses}{at}", width=width)
    with np.errstate(over="ignore", invalid="ignore"):  # the loss above has said it already
        vocabulary = example.vocabulary
        assert vocabulary is not None  # every example names its tokens
        ends = [number for number, token in enumerate(vocabulary) if token == "<eos>"]
        found = answers(training.config, training.parameters, example.batch, *ends)
    args.result = {
        "example": example.name, "steps": training.step, "losses": training.losses,
        "recipe": training.recipe, "answers": found,
    }  # fmt: skip
    tell(f"\n{answers_text(found, vocabulary, width, args.lang)}", width=width)
    if any(answer.given != answer.wanted for answer in found):
        differs = "贪心输出与目标不同", "greedy output differs from the target"
        tell(pick(args.lang, *differs), width=width)
    else:
        tell(pick(args.lang, "贪心输出 = 目标", "greedy output = target"), width=width)
    if args.save is not None:
        tell(f"{pick(args.lang, '已写入', 'written')}: {args.save}", width=width)
    return 0


def _fresh(args: argparse.Namespace, example: Example) -> Run:
    import dataclasses

    from ..training.run import Run

    config = example.config
    if args.label_smoothing is not None:
        config = dataclasses.replace(config, label_smoothing=args.label_smoothing)
    return Run(config, example.parameters, _recipe(args))


def _recipe(args: argparse.Namespace) -> Recipe:
    from ..training.recipe import Recipe

    return Recipe(
        optimiser=args.optimizer or "adamw",
        learning_rate=args.learning_rate,
        warmup=args.warmup or 0,
        clip=args.clip,
        seed=args.seed or 0,
    )


def _resumed(args: argparse.Namespace, example: Example) -> Run:
    """The run of a file; its own recipe holds, so none of it may be given again."""
    import dataclasses

    from ..training.checkpoint import load_run

    for name in ("optimizer", "learning_rate", "clip", "warmup", "label_smoothing", "seed"):
        if getattr(args, name) is not None:
            option = "--" + name.replace("_", "-")
            raise UsageError(f"{option} with --resume: the file says how the run goes on; drop it")
    training = load_run(args.resume)
    own = dataclasses.replace(
        example.config, label_smoothing=training.config.label_smoothing
    )  # the one field that this command may change
    if training.config != own:
        raise UsageError(f"--resume {args.resume}: the run is not of example {example.name!r}")
    return training


def _describe(training: Run, lang: str) -> str:
    from ..show.headings import pick

    recipe, config = training.recipe, training.config
    parts = [
        pick(lang, f"{training.weights.size} 个参数", f"{training.weights.size} parameters"),
        recipe.optimiser,
        f"{pick(lang, '学习率', 'rate')} {recipe.rate(recipe.warmup or 1, config):g}",
        f"{pick(lang, '种子', 'seed')} {recipe.seed}",
    ]
    if recipe.warmup:
        parts.append(f"{pick(lang, '预热', 'warmup')} {recipe.warmup}")
    if recipe.clip is not None:
        parts.append(f"{pick(lang, '裁剪', 'clip')} {recipe.clip:g}")
    if config.label_smoothing:
        parts.append(f"{pick(lang, '标签平滑', 'label smoothing')} {config.label_smoothing:g}")
    if training.step:
        at = training.step
        parts.append(pick(lang, f"从第 {at} 步继续", f"resumed at step {at}"))
    return pick(lang, "，", ", ").join(parts)


def _demonstrate(args: argparse.Namespace, example: Example, width: int) -> int:
    from ..training import demonstrations, peeking, text

    config, parameters, batch = example.config, example.parameters, example.batch
    recipe = _recipe(args)
    if args.demo == "flow":
        tell(_flow(args, example, width), width=width)
    elif args.demo == "exposure":
        tell(text.exposure_text(
            demonstrations.exposure_bias(config, parameters, batch, recipe=recipe),
            args.lang, width,
        ), width=width)  # fmt: skip
    elif args.demo == "depth":
        tell(text.depth_text(
            demonstrations.gradient_depth(config, batch, steps=args.steps or 100, recipe=recipe),
            args.steps or 100, args.lang, width,
        ), width=width)  # fmt: skip
    else:
        from ..show.headings import pick, say

        steps = args.steps or 600
        task = peeking.own_task(config, parameters, batch)
        tell(say(text.PEEKING, args.lang), width=width)
        zh, en = "一句话，背得下来", "one sentence, which can be learnt by heart"
        title = f"\n{example.name}: {pick(args.lang, zh, en)}"
        table = peeking.peeking(task, steps, recipe)
        tell(
            text.peeking_text(table, title, example.vocabulary, width=width, lang=args.lang),
            width=width,
        )
        task = peeking.counting_task(recipe.seed)
        zh, en = (
            "带意外的数数，背不下来",
            "counting with surprises, which cannot be learnt by heart",
        )
        table = peeking.peeking(task, steps, recipe)
        title = f"\n{pick(args.lang, zh, en)}"
        tell(text.peeking_text(table, title, None, task.best, width, args.lang), width=width)
    return 0


def _flow(args: argparse.Namespace, example: Example, width: int) -> str:
    """Document 003's act five, for the example's own parameters."""
    from ..training.flow import gradient_flow, shown_matrices, updates
    from ..training.recipe import RATES
    from ..training.text import flow_text, update_text

    trace = example.trace()
    rate = args.learning_rate or RATES["sgd"]
    gradients = {name: trace.grad(f"parameters/{name}") for name in trace.parameters}
    steps = updates(trace.parameters, gradients, shown_matrices(trace.config), rate)
    shown = [update_text(step, rate, args.lang, width) for step in steps]
    return "\n\n".join([flow_text(gradient_flow(trace), args.lang, width), *shown])

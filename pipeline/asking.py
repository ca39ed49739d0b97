"""Asking the stages, and waiting for those that must wait for something. What they amount to is `pipeline/judge.py`."""

from governance.exchange import Exchange, Phase
from governance.stage import Stage
from pipeline.judge import Judgement


async def judge(stages: tuple[Stage, ...], exchange: Exchange, phase: Phase) -> Judgement:
    """Ask each stage in turn."""
    judged = Judgement(exchange)
    while (waiting := judged.go_on(stages, phase)) is not None:
        try:
            verdict = await waiting
        except Exception as error:  # noqa: BLE001 - whatever broke, a broken check refuses
            judged.broke(error, stages, phase)
        else:
            judged.take(verdict, stages, phase)
    return judged

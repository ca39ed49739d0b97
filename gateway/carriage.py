"""Carrying an admitted exchange to its provider, and the answer back to the client.

What was judged is what is sent, and the last byte leaves only when the outcome is durable. Whether the exchange may
go at all was decided before (`gateway/endpoint.py`); how a stream is rewritten is `gateway/relay.py`.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import anyio
from anyio import to_thread

from gateway.dialects.dialect import Asked, Dialect, Operation
from gateway.errors import UpstreamError
from gateway.metering import Meter
from gateway.passing import Passing
from gateway.relay import StreamRelay
from gateway.reply import Headers, Reply
from gateway.routing import Target
from gateway.upstream import Answer, Upstream
from governance.exchange import Body
from governance.jsontree import MalformedError
from governance.stage import RefusedError
from pipeline.reading import read_apart

_EVENT_STREAM = "text/event-stream"
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]+")


@dataclass(frozen=True)
class Carriage:
    """One exchange on its way to a provider and back."""

    upstream: Upstream
    dialect: Dialect
    operation: Operation
    target: Target
    asked: Asked
    headers: Mapping[str, str]
    """What of the client's headers the provider may see."""
    query: str
    reply: Reply
    meter: Meter

    async def run(self, passage: Passing) -> None:
        """Send the judged request and relay the answer; the outcome is settled whatever happens.

        Raises:
            UpstreamError: the provider failed.
            RefusedError: the answer must not leave.
        """
        try:
            await self._exchange(passage)
        except UpstreamError as error:
            await passage.settle(await self.meter.outcome(passage.exchange, "error", error=error.code))
            raise
        except RefusedError:
            with contextlib.suppress(RefusedError):
                await passage.settle(await self.meter.outcome(passage.exchange, "refused"))
            raise
        except anyio.get_cancelled_exc_class():
            # The client left, or the run was killed: what was used by then is recorded all the same.
            with anyio.CancelScope(shield=True), contextlib.suppress(RefusedError):
                await passage.settle(await self.meter.outcome(passage.exchange, "cancelled"))
            raise

    async def _exchange(self, passage: Passing) -> None:
        request = passage.exchange.request
        self.meter.sent = request.strings
        call = self.upstream.post(
            self.target, self.operation.path, body=request.raw, headers=self.headers, query=self.query
        )
        async with call as answer:
            self.meter.upstream_status = answer.status
            if answer.media_type == _EVENT_STREAM and 200 <= answer.status < 300:
                await self._stream(passage, answer)
            else:
                await self._whole(passage, answer)

    async def _whole(self, passage: Passing, answer: Answer) -> None:
        raw = await answer.read()
        try:
            body = await read_apart(self.dialect.answer, raw)
        except MalformedError:
            raise _unreadable(answer, self.target) from None
        if answer.status == 401:
            raise _key_refused(self.target)
        self.meter.usage = self.dialect.usage(body.value)
        if self.meter.usage is None:
            self.meter.received = list(chain.from_iterable(body.strings))
        judged = (await passage.respond(body)).response or body
        left: Body = judged if judged is body else self.dialect.settled(judged)
        ok = 200 <= answer.status < 300
        if ok and (uses := self.dialect.calls(left.value)):
            passage.asks(uses)
        await passage.settle(await self.meter.outcome(passage.exchange, "ok" if ok else "error"))
        await self.reply.whole(answer.status, self._headers(passage, answer), left.raw)

    async def _stream(self, passage: Passing, answer: Answer) -> None:
        relay = StreamRelay(
            self.dialect.reader(self.asked),
            passage.stream,
            hide=answer.without_secret,
            max_event_bytes=self.upstream.limits.response_bytes,
        )
        await self.reply.begin(answer.status, self._headers(passage, answer))
        held = b""
        try:
            async for chunk in answer.chunks():
                out = await to_thread.run_sync(relay.feed, chunk) if relay.is_heavy else relay.feed(chunk)
                if relay.asked and relay.is_over:
                    held = out  # what it asks for is written down with the outcome
                    break
                if relay.asked:  # an agent may make the call as soon as it has these bytes
                    passage.asks(relay.taken())
                    await passage.tell()
                if out:
                    await self.reply.more(out)
                if relay.is_over:
                    break
            tail = await to_thread.run_sync(relay.close) if relay.is_heavy else relay.close()
        finally:
            self.meter.usage = relay.usage
            self.meter.partial = relay.partial_usage
            self.meter.received = relay.texts
        if relay.asked:
            passage.asks(relay.taken())
        await passage.settle(await self.meter.outcome(passage.exchange, "error" if relay.failed else "ok"))
        await self.reply.end(held + tail)

    def _headers(self, passage: Passing, answer: Answer) -> Headers:
        headers = [*answer.headers, (b"x-wicket-exchange", passage.exchange.id.encode())]
        for warning in passage.warnings:
            text = _NOT_PRINTABLE.sub("?", f"{warning.rule or warning.by}: {warning.reason}")
            headers.append((b"x-wicket-warning", text.encode()))
        return headers


def _unreadable(answer: Answer, target: Target) -> UpstreamError:
    """An answer that is not JSON: a page of some server in between, or nothing. Its text does not pass."""
    if answer.status == 401:
        return _key_refused(target)
    if answer.status < 400:
        return UpstreamError(502, "provider_malformed", "the provider's answer is not what its wire demands")
    after = answer.retry_after
    return UpstreamError(answer.status, "provider_error", f"the provider answered {answer.status}", retry_after=after)


def _key_refused(target: Target) -> UpstreamError:
    message = f"the provider refused the gateway's own key: check `api_key` of provider `{target.name}`"
    return UpstreamError(502, "provider_key_refused", message)

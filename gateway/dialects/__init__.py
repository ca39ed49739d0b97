"""The visible list of LLM wire formats. A new one is one file here and one line below."""

from gateway.dialects.anthropic_messages import AnthropicMessages
from gateway.dialects.dialect import Dialect
from gateway.dialects.openai_chat import OpenAiChat

DIALECTS: tuple[Dialect, ...] = (OpenAiChat(), AnthropicMessages())

# One image for both processes. Nothing is built in the last stage, and nothing in it needs to be written to.

FROM docker.io/library/python:3.11.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev >/dev/null
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet uv==0.13.8
WORKDIR /src
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN UV_PROJECT_ENVIRONMENT=/opt/wicket /opt/uv/bin/uv sync --frozen --no-dev --no-install-project --quiet
COPY approvals approvals
COPY console console
COPY gateway gateway
COPY governance governance
COPY mcp_proxy mcp_proxy
COPY pipeline pipeline
COPY sessions sessions
COPY wicket wicket
# What every request passes is compiled here: docs/decisions/compiled.md
RUN HATCH_BUILD_HOOKS_ENABLE=1 UV_PROJECT_ENVIRONMENT=/opt/wicket /opt/uv/bin/uv sync --frozen --no-dev --no-editable --quiet

FROM docker.io/library/python:3.11.13-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/wicket --create-home --shell /usr/sbin/nologin wicket
COPY --from=build /opt/wicket /opt/wicket
ENV PATH=/opt/wicket/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 WICKET_CONFIG=/etc/wicket/wicket.yaml
USER 10001:10001
WORKDIR /var/lib/wicket
ENTRYPOINT ["wicket"]
CMD ["--help"]

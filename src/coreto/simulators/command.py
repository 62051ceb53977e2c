"""``coreto sim ollama|openai|llamacpp``: the arguments of the simulators, and `run`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson
from aiohttp import web

from coreto.simulators.faults import FaultError, FaultRule, parse_rules
from coreto.simulators.llamacpp import router
from coreto.simulators.llamacpp.app import build_app as build_llamacpp
from coreto.simulators.llamacpp.models import parse_model as parse_router_model
from coreto.simulators.llamacpp.wire import RouterOptions
from coreto.simulators.ollama.app import build_app as build_ollama
from coreto.simulators.ollama.cloud import CloudSettings
from coreto.simulators.ollama.models import SizeError, parse_model, parse_size
from coreto.simulators.ollama.scheduler import Limits
from coreto.simulators.ollama.simulator import OllamaOptions, Speech
from coreto.simulators.openai.app import build_app as build_openai
from coreto.simulators.openai.flavours import FLAVOURS
from coreto.simulators.openai.wire import OpenAIOptions
from coreto.simulators.serving import Place, serve


def run(argv: Sequence[str]) -> int:
    """Run one simulator until it is told to stop: 0 after a clean stop, 1 when it cannot start, 2 on bad arguments.

    `argv` without the program name, for instance ``["ollama", "--port", "0", "--memory", "16 GB"]``.
    """
    try:
        arguments = _parser().parse_args(list(argv))
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    kind = str(arguments.kind)
    try:
        build = _BUILDERS[kind](arguments)
    except (FaultError, SizeError, OSError, orjson.JSONDecodeError) as error:
        sys.stderr.write(f"coreto sim {kind}: {error}\n")
        return 2
    place = Place(
        kind=kind,
        host=arguments.host,
        port=arguments.port,
        quiet=arguments.quiet,
        with_stdin=arguments.with_stdin,
    )
    return serve(place, build)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--host", default="127.0.0.1")
    common.add_argument("--port", type=int, default=0, help="0 picks a free one")
    common.add_argument("--seed", type=int, default=0, help="decides answers and chances")
    common.add_argument("--faults", metavar="FILE", help="JSON file of fault rules")
    common.add_argument("--quiet", action="store_true", help="nothing on standard error")
    common.add_argument("--with-stdin", action="store_true", help="stop when standard input ends")
    common.add_argument(
        "--model", action="append", default=[], help="repeat; ollama, llamacpp: NAME=SIZE[:CONTEXT]"
    )
    common.add_argument("--api-key", help="the only key accepted (ollama: with --cloud)")
    common.add_argument("--chunks", type=int, help="stream the answer in this many chunks")
    common.add_argument("--latency", type=float, default=0.0, help="seconds before the first token")
    parser = argparse.ArgumentParser(prog="coreto sim", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    _ollama_arguments(kinds.add_parser("ollama", parents=[common], help="a simulated Ollama"))
    _openai_arguments(
        kinds.add_parser("openai", parents=[common], help="a simulated OpenAI-compatible server")
    )
    _llamacpp_arguments(
        kinds.add_parser("llamacpp", parents=[common], help="a simulated llama.cpp server in router mode")
    )
    return parser


def _ollama_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cloud", action="store_true", help="behave as ollama.com")
    parser.add_argument("--memory", default="16 GB", help="GPU memory")
    parser.add_argument("--host-memory", default="0", help="main memory that may take a part of a model")
    parser.add_argument("--load-gbps", type=float, default=2.0, help="loading speed, GB per second")
    parser.add_argument(
        "--time-scale",
        type=float,
        default=1.0,
        help="real seconds per simulated second of loading and generating",
    )
    parser.add_argument("--num-parallel", type=int, default=1)
    parser.add_argument("--max-queue", type=int, default=512)
    parser.add_argument("--max-loaded", type=int, default=3)
    parser.add_argument("--keep-alive", type=float, default=300.0, help="default, in seconds")
    parser.add_argument(
        "--pullable", action="append", default=[], help="NAME=SIZE[:CONTEXT] that pull can fetch"
    )
    parser.add_argument("--stub", action="append", help="cloud model that a local server lists; repeat")
    parser.add_argument("--signed-out", action="store_true", help="the daemon is not signed in to the cloud")
    parser.add_argument("--cloud-disabled", action="store_true")
    parser.add_argument("--session-requests", type=int, help="cloud requests until the session limit")
    parser.add_argument("--weekly-requests", type=int, help="cloud requests until the weekly limit")


def _openai_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--flavour", choices=FLAVOURS, default="openai")
    parser.add_argument("--any-model", action="store_true", help="accept model names that are not listed")
    parser.add_argument("--credit", type=float, help="USD until calls are refused")
    parser.add_argument("--price-in", type=float, default=0.15, help="USD per million prompt tokens")
    parser.add_argument("--price-out", type=float, default=0.60, help="USD per million answer tokens")
    parser.add_argument("--chunk-delay", type=float, default=0.0, help="seconds between chunks")


def _llamacpp_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models-max", type=int, default=4, help="models loaded at a time; 0: any number")
    parser.add_argument("--no-models-autoload", action="store_true", help="calls do not load models")
    parser.add_argument("--memory", default="0", help="memory in all; 0: enough for everything")
    parser.add_argument("--load-gbps", type=float, default=2.0, help="loading speed, GB per second")
    parser.add_argument(
        "--time-scale", type=float, default=1.0, help="real seconds per simulated second of loading"
    )
    parser.add_argument("--chunk-delay", type=float, default=0.0, help="seconds between chunks")


def _rules(arguments: argparse.Namespace) -> tuple[FaultRule, ...]:
    if arguments.faults is None:
        return ()
    return parse_rules(orjson.loads(Path(arguments.faults).read_bytes()))


def _ollama(arguments: argparse.Namespace) -> Callable[[], web.Application]:
    account = CloudSettings(
        api_key=arguments.api_key,
        signed_in=not arguments.signed_out,
        enabled=not arguments.cloud_disabled,
        session_requests=arguments.session_requests,
        weekly_requests=arguments.weekly_requests,
    )
    limits = Limits(
        memory=parse_size(arguments.memory),
        host_memory=parse_size(arguments.host_memory),
        max_loaded=arguments.max_loaded,
        max_queue=arguments.max_queue,
        num_parallel=arguments.num_parallel,
        keep_alive=arguments.keep_alive,
    )
    plain = OllamaOptions()
    options = OllamaOptions(
        cloud=arguments.cloud,
        models=tuple(parse_model(text) for text in arguments.model) or plain.models,
        stubs=plain.stubs if arguments.stub is None else tuple(arguments.stub),
        limits=limits,
        load_gbps=arguments.load_gbps,
        speech=Speech(arguments.chunks, arguments.latency, arguments.time_scale),
        account=account,
        pullable=tuple(parse_model(text) for text in arguments.pullable),
    )
    rules = _rules(arguments)
    return lambda: build_ollama(options, arguments.seed, rules)


def _openai(arguments: argparse.Namespace) -> Callable[[], web.Application]:
    options = OpenAIOptions(
        flavour=arguments.flavour,
        models=tuple(arguments.model),
        any_model=arguments.any_model,
        api_key=arguments.api_key,
        credit=arguments.credit,
        price_in=arguments.price_in,
        price_out=arguments.price_out,
        chunks=arguments.chunks,
        latency=arguments.latency,
        chunk_delay=arguments.chunk_delay,
    )
    rules = _rules(arguments)
    return lambda: build_openai(options, arguments.seed, rules)


def _llamacpp(arguments: argparse.Namespace) -> Callable[[], web.Application]:
    options = RouterOptions(
        models=tuple(parse_router_model(text) for text in arguments.model),
        limits=router.Limits(arguments.models_max, parse_size(arguments.memory)),
        pace=router.Pace(arguments.load_gbps * 1e9, arguments.time_scale),
        autoload=not arguments.no_models_autoload,
        api_key=arguments.api_key,
        chunks=arguments.chunks,
        latency=arguments.latency,
        chunk_delay=arguments.chunk_delay,
    )
    rules = _rules(arguments)
    return lambda: build_llamacpp(options, arguments.seed, rules)


_BUILDERS: dict[str, Callable[[argparse.Namespace], Callable[[], web.Application]]] = {
    "ollama": _ollama,
    "openai": _openai,
    "llamacpp": _llamacpp,
}

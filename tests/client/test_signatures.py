"""Every method that the vendor's SDK reference lists, held against the client's: names, parameters, defaults, types.

The reference is read when the tests run; what the client does otherwise on purpose stands in `NEEDED` and `DEFAULTS`.
"""

from __future__ import annotations

import ast
import inspect
from typing import Any, Final

import pytest
import seed_tables as seeds
from client_types import fits, resource, returned, type_named
from seed_tables import Method, Parameter

from aion_dagster.client import AionVision, ClientConfig, SyncAionVision, errors

pytestmark = [
    pytest.mark.needs_shared,
    pytest.mark.skipif(not seeds.SEEDS.is_dir(), reason=f"needs {seeds.SEEDS}"),
]

METHODS: Final = list(seeds.methods()) if seeds.SEEDS.is_dir() else []
ERRORS: Final = seeds.error_classes() if seeds.SEEDS.is_dir() else {}

NEEDED: Final = {("client.chats.send", "session_id"), ("client.chats.send_stream", "session_id")}
"""Keyword parameters without a default in the reference that are nothing one can leave out; all others can be."""

DEFAULTS: Final = {
    "storage_target": ("default", None),
    "intent": ("describe",),
    "verification_level": ("standard",),
    "code": (inspect.Parameter.empty,),
    "state": (inspect.Parameter.empty,),
}
"""Where the reference gives a parameter a default in one method and none in another: the same for both."""


def of_method(method: Method, *, sync: bool = False) -> Any:
    found = getattr(resource(method.owner, sync=sync), method.name, None)
    assert found is not None, f"{'Sync' if sync else ''}{method} is missing"
    return found


def parameters(function: Any) -> dict[str, inspect.Parameter]:
    given = dict(inspect.signature(function).parameters)
    given.pop("self", None)
    return given


def test_the_reference_was_read_whole() -> None:
    """A change of its layout would otherwise leave nothing to compare."""
    assert len(METHODS) == 130
    assert len({m.owner for m in METHODS}) == 16


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_method_has_the_parameters_of_the_reference(method: Method, sync: bool) -> None:
    has = parameters(of_method(method, sync=sync))
    wanted = method.parameters
    positional = [p.name for p in wanted if not p.keyword_only]
    assert [n for n, p in has.items() if p.kind is p.POSITIONAL_OR_KEYWORD] == positional
    for parameter in wanted:
        assert parameter.name in has, f"{method} takes no {parameter.name}"
        _check_default(method, parameter, has[parameter.name])
    for name in has.keys() - {p.name for p in wanted}:
        more = has[name]
        assert more.kind is more.KEYWORD_ONLY, f"{method}: {name} is more than the reference has"
        assert more.default is not more.empty, f"{method}: {name} must be given"


def _check_default(method: Method, wanted: Parameter, has: inspect.Parameter) -> None:
    assert (has.kind is has.KEYWORD_ONLY) == wanted.keyword_only, f"{method}: {wanted.name}"
    if wanted.default is not None:
        assert has.default == ast.literal_eval(wanted.default), f"{method}: {wanted.name}"
    elif not wanted.keyword_only or (str(method), wanted.name) in NEEDED:
        assert has.default is has.empty, f"{method}: {wanted.name}"
    else:
        assert has.default in DEFAULTS.get(wanted.name, (None,)), f"{method}: {wanted.name}"


@pytest.mark.parametrize("method", [m for m in METHODS if m.open_ended], ids=str)
def test_a_method_that_goes_on_like_another_takes_what_that_takes(method: Method) -> None:
    like = of_method(method).__name__.removesuffix("_all")
    if like == method.name:
        return  # update_settings: the specification says what follows
    short = parameters(getattr(resource(method.owner), like))
    conditions = short.keys() - {"limit", "offset"}
    assert conditions <= parameters(of_method(method)).keys()


@pytest.mark.parametrize("method", [m for m in METHODS if m.returns], ids=str)
def test_a_method_gives_what_the_reference_promises(method: Method) -> None:
    owner = resource(method.owner)
    gives = returned(of_method(method))
    assert fits(gives, type_named(method.returns or ""), owner), f"{method} gives {gives}"


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_the_blocking_twin_is_the_same_coroutine(method: Method) -> None:
    """What holds for one then holds for both."""
    awaited, blocking = of_method(method), of_method(method, sync=True)
    assert parameters(awaited) == parameters(blocking)
    given = inspect.signature(blocking).return_annotation
    assert "Async" not in str(given), f"{method}: the blocking one gives {given}"
    assert not inspect.iscoroutinefunction(blocking)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_a_resource_has_the_name_of_the_reference(method: Method) -> None:
    if method.owner != "Pipeline":
        assert resource(method.owner).__name__ == method.class_name


@pytest.mark.parametrize("client", [AionVision, SyncAionVision])
def test_a_client_is_made_with_the_settings_of_the_reference(client: type) -> None:
    has = parameters(client.__init__)
    wanted = seeds.constructor()
    assert wanted.keys() == has.keys() - {"pacer"}
    assert has["api_key"].default is inspect.Parameter.empty
    for name, text in wanted.items():
        if name != "api_key":
            assert has[name].default == ast.literal_eval(text), name
            assert has[name].kind is inspect.Parameter.KEYWORD_ONLY


def test_the_environment_has_the_variables_and_defaults_of_the_readme() -> None:
    key = "aion_" + "k" * 20
    variables = seeds.environment()
    plain = ClientConfig.from_env({"AIONVISION_API_KEY": key})
    spelled = {"AIONVISION_API_KEY": key} | {n: t for n, t in variables.items() if t != "-"}
    assert ClientConfig.from_env(spelled) == plain
    fields = {name.removeprefix("AIONVISION_").lower() for name in variables}
    assert fields == set(vars(plain))
    others = {
        "AIONVISION_TIMEOUT": "1",
        "AIONVISION_TENANT_ID": "t",
        "AIONVISION_PROXY_URL": "http://p",
    }
    changed = ClientConfig.from_env({"AIONVISION_API_KEY": key, **others})
    assert (changed.timeout, changed.tenant_id, changed.proxy_url) == (1.0, "t", "http://p")


@pytest.mark.parametrize("name", ["upload_one", "upload", "upload_batch"])
def test_the_shortcuts_are_the_methods_of_uploads(name: str) -> None:
    for client, sync in ((AionVision, False), (SyncAionVision, True)):
        shortcut, method = (
            getattr(client, name),
            getattr(resource("client.uploads", sync=sync), name),
        )
        assert parameters(shortcut) == parameters(method)


def test_a_chat_session_is_opened_as_by_its_resource() -> None:
    for client, sync in ((AionVision, False), (SyncAionVision, True)):
        shortcut = parameters(client.chat_session)
        assert shortcut == parameters(resource("client.chats", sync=sync).session)
    assert not parameters(AionVision.pipeline)


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_a_class_and_an_attribute_of_both_clients(name: str) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, errors.AionvisionError)
    assert getattr(AionVision, name) is kind
    assert getattr(SyncAionVision, name) is kind


def test_errors_have_the_attributes_that_the_documents_read() -> None:
    made: dict[str, errors.AionvisionError] = {
        name: getattr(errors, name)("message") for name in ERRORS if name != "CircuitBreakerError"
    }
    attributes = seeds.error_attributes()
    assert len(set(attributes)) == 11
    for name, attribute in attributes:
        assert hasattr(made[name], attribute), f"{name}.{attribute}"

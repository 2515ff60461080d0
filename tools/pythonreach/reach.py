"""Calls every method of the Python client library against a Unity Catalog server, and prints how many reach a route.

Usage: reach.py URL TOKEN. Every parameter is given something, so most calls are refused; only whether a route serves them
counts.
"""

import dataclasses
import enum
import importlib
import inspect
import sys
import typing

from databricks.sdk.core import ApiClient, Config
from databricks.sdk.errors import DatabricksError
from databricks.sdk.version import __version__

PACKAGES = ["catalog", "sharing", "sql", "tags", "pipelines"]


def something(annotation):
    """Returns a value of the type of a parameter."""
    if isinstance(annotation, type) and annotation is not typing.Any:
        if issubclass(annotation, enum.Enum):
            return next(iter(annotation))
        if annotation in (int, float):
            return 1
        if annotation is bool:
            return True
        if annotation is dict:
            return {}
        if dataclasses.is_dataclass(annotation):
            return annotation.from_dict({})
        if annotation is str:
            return "x"
        value = annotation()
        if hasattr(value, "FromJsonString"):  # a mask of fields
            value.FromJsonString("x")
        return value
    origin = typing.get_origin(annotation)
    if origin in (list, typing.List):
        return []
    if origin in (dict, typing.Dict):
        return {}
    return "x"


def reaches(method):
    """Reports whether a route serves the call of a method."""
    hints = typing.get_type_hints(method)
    arguments = {}
    for name, parameter in inspect.signature(method).parameters.items():
        if parameter.default is inspect.Parameter.empty and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            arguments[name] = something(hints.get(name))
    try:
        result = method(**arguments)
        if inspect.isgenerator(result):
            next(result, None)
    except DatabricksError as e:
        return e.error_code != "ENDPOINT_NOT_FOUND" and "No API found" not in str(e)
    return True


def main(url, token):
    client = ApiClient(Config(host=url, token=token, account_id="acme", retry_timeout_seconds=5, rate_limit=1000))
    methods = served = 0
    missing = []
    for package in PACKAGES:
        module = importlib.import_module("databricks.sdk.service." + package)
        for name, service in inspect.getmembers(module, inspect.isclass):
            if not name.endswith("API") or service.__module__ != module.__name__:
                continue
            instance = service(client)
            for method_name, method in inspect.getmembers(instance, inspect.ismethod):
                if method_name.startswith("_") or method_name.startswith("wait_") or method_name.endswith("_and_wait"):
                    continue
                methods += 1
                try:
                    ok = reaches(method)
                except Exception as e:  # of the library, before it sends anything
                    sys.exit(f"{name}.{method_name}: {e!r}")
                if ok:
                    served += 1
                else:
                    missing.append(f"{name.removesuffix('API')}.{method_name}")
    print("no route:", ", ".join(missing), file=sys.stderr)
    print(f"databricks-sdk {__version__} (Python): {served} of {methods} methods reach a call.")


main(*sys.argv[1:])

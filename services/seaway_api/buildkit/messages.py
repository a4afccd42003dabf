"""The messages of BuildKit and containerd of which something is read or changed here, as far as that needs it. Pure.

Fields that are not listed survive: protobuf keeps what it does not know and writes it again. The numbers are those of
moby/buildkit (api/services/control/control.proto, frontend/gateway/pb/gateway.proto, api/types/worker.proto), of
containerd (api/services/content/v1/content.proto) and of tonistiigi/fsutil (types/wire.proto, types/stat.proto).
"""

from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

_PACKAGE: Final = "seaway.buildkit"
_MESSAGES: Final[dict[str, tuple[str, ...]]] = {
    "Exporter": ("string Type = 1", "map Attrs = 2"),
    "SolveRequest": (
        "string Ref = 1",
        "string ExporterDeprecated = 3",
        "map ExporterAttrsDeprecated = 4",
        "string Session = 5",
        "string Frontend = 6",
        "map FrontendAttrs = 7",
        "CacheOptions Cache = 8",
        "repeated string Entitlements = 9",
        "bool Internal = 11",
        "repeated Exporter Exporters = 13",
    ),
    "CacheOptions": ("repeated CacheOptionsEntry Exports = 4", "repeated CacheOptionsEntry Imports = 5"),
    "CacheOptionsEntry": ("string Type = 1", "map Attrs = 2"),
    "SolveResponse": ("map ExporterResponse = 1",),
    "GatewaySolveRequest": ("string Frontend = 2", "map FrontendOpt = 3"),
    "BytesMessage": ("bytes data = 1",),
    "ListWorkersResponse": ("repeated WorkerRecord record = 1",),
    "WorkerRecord": ("string ID = 1", "map Labels = 2", "BuildkitVersion BuildkitVersion = 5"),
    "BuildkitVersion": ("string package = 1", "string version = 2"),
    "PruneRequest": ("repeated string filter = 1", "bool all = 2", "int64 keepDuration = 3", "int64 keepBytes = 4"),
    "DiskUsageRequest": ("repeated string filter = 1",),
    "DiskUsageResponse": ("repeated UsageRecord record = 1",),
    "UsageRecord": (
        "string ID = 1",
        "bool Mutable = 2",
        "bool InUse = 3",
        "int64 Size = 4",
        "string Parent = 5",
        "Timestamp CreatedAt = 6",
        "Timestamp LastUsedAt = 7",
        "int64 UsageCount = 8",
        "string Description = 9",
        "string RecordType = 10",
        "bool Shared = 11",
        "repeated string Parents = 12",
    ),
    "StatusRequest": ("string Ref = 1",),
    "InfoRequest": ("string digest = 1",),
    "InfoResponse": ("Info info = 1",),
    "Info": ("string digest = 1", "int64 size = 2"),
    "ReadContentRequest": ("string digest = 1", "int64 offset = 2", "int64 size = 3"),
    "ReadContentResponse": ("int64 offset = 1", "bytes data = 2"),
    "WriteContentRequest": (
        "int32 action = 1",
        "string ref = 2",
        "int64 total = 3",
        "string expected = 4",
        "int64 offset = 5",
        "bytes data = 6",
    ),
    "WriteContentResponse": (
        "int32 action = 1",
        "Timestamp startedAt = 2",
        "Timestamp updatedAt = 3",
        "int64 offset = 4",
        "int64 total = 5",
        "string digest = 6",
    ),
    "Timestamp": ("int64 seconds = 1", "int32 nanos = 2"),
    "Packet": ("int32 type = 1", "FileStat stat = 2", "uint32 ID = 3", "bytes data = 4"),
    "FileStat": ("string path = 1", "uint32 mode = 2", "int64 size = 5"),
}
_SCALARS: Final = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "uint32": FieldDescriptorProto.TYPE_UINT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
}


def _add_field(message: DescriptorProto, line: str) -> None:
    head, _, number = line.partition(" = ")
    *label, kind, name = head.split()
    field = message.field.add(name=name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL)
    if label or kind == "map":
        field.label = FieldDescriptorProto.LABEL_REPEATED
    if kind == "map":
        _set_kind(field, f"{message.name}.{name}Entry")
        entry = message.nested_type.add(name=f"{name}Entry")
        entry.options.map_entry = True
        _add_field(entry, "string key = 1")
        _add_field(entry, "string value = 2")
    else:
        _set_kind(field, kind)


def _set_kind(field: FieldDescriptorProto, kind: str) -> None:
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"


def _classes() -> dict[str, Any]:
    file = FileDescriptorProto(name="seaway_buildkit.proto", package=_PACKAGE, syntax="proto3")
    for name, lines in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for line in lines:
            _add_field(message, line)
    pool = DescriptorPool()
    pool.Add(file)
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES}


_CLASSES: Final = _classes()


class WrongMessage(ValueError):
    """Bytes that are no such message."""


def new(name: str, **fields: Any) -> Any:
    """A message of that name, such as `SolveRequest`."""
    return _CLASSES[name](**fields)


def parse(name: str, data: bytes) -> Any:
    """The message in `data`; raises WrongMessage."""
    try:
        return _CLASSES[name].FromString(data)
    except DecodeError as error:
        raise WrongMessage(f"the message is no {name}: {error}") from None


def encode(name: str, **fields: Any) -> bytes:
    """The bytes of such a message."""
    data: bytes = new(name, **fields).SerializeToString()
    return data

"""Runs the released Python reference: JSON steps on stdin, one result or error for each on stdout."""

import hashlib
import json
import logging
import sys

from pgpack import CompressionMethod, PGPackReader, PGPackWriter
from pgpack_dumper import PGConnector, PGPackDumper

LOGGER = logging.getLogger("reference")
LOGGER.addHandler(logging.NullHandler())
LOGGER.propagate = False


def dumper(step):
    connector = PGConnector(**step["server"])
    return PGPackDumper(connector, CompressionMethod[step.get("method", "ZSTD")], LOGGER)


def read_dump(step):
    with open(step["path"], "wb") as file:
        dumper(step).read_dump(file, step.get("query"), step.get("table"))


def write_dump(step):
    with open(step["path"], "rb") as file:
        dumper(step).write_dump(file, step["table"])


def write_bytes(step):
    with open(step["body"], "rb") as body, open(step["path"], "wb") as file:
        writer = PGPackWriter(file, step["metadata"].encode(), CompressionMethod[step["method"]])
        writer.from_bytes(iter(lambda: body.read(step["chunk"]), b""))


def describe(step):
    with open(step["path"], "rb") as file:
        reader = PGPackReader(file)
        return {
            "columns": [
                [name, oid.value, *param]
                for name, oid, param in zip(reader.columns, reader.pgtypes, reader.pgparam)
            ],
            "method": reader.compression_method.name,
            "stored": reader.pgcopy_compressed_length,
            "raw": reader.pgcopy_data_length,
        }


def to_bytes(step):
    digest = hashlib.sha256()
    with open(step["path"], "rb") as file:
        for chunk in PGPackReader(file).to_bytes():
            digest.update(chunk)
    return digest.hexdigest()


def to_rows(step):
    with open(step["path"], "rb") as file:
        return [[None if value is None else str(value) for value in row] for row in PGPackReader(file).to_rows()]


def run(step):
    try:
        return {"value": globals()[step["do"]](step)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


json.dump([run(step) for step in json.load(sys.stdin)], sys.stdout)

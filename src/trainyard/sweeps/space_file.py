"""What a sweep's directory keeps of its search space, and of what chooses."""

import re
import zlib
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from trainyard.errors import ConfigError, reject
from trainyard.files import read_text, relative, write_text
from trainyard.plain_yaml import MOST_BYTES, load_yaml
from trainyard.sweeps.search_space import SearchSpace

FILE = "sweep.yaml"
CHECKSUM = re.compile(r"# crc32 of the lines below: ([0-9a-f]{8})\n")
LISTS = ("intervals", "zipped")
TEXTS = ("where", "sampler")


def load(file: Path) -> tuple[SearchSpace, list[str]]:
    """Return the space that a sweep's directory keeps, and the metrics that choose.

    Raises:
        ConfigError: the file is not what `keep` writes.
    """
    try:
        text = read_text(file, MOST_BYTES)
        content: Any = load_yaml(text)
        if is_whole(content):
            OmegaConf.create(content)  # raises an error for an interpolation with an open end
            intervals, zipped = (tuple(content.get(name, ())) for name in LISTS)
            where, sampler = (content.get(name, "") for name in TEXTS)
            space = SearchSpace(content["values"], intervals, zipped, where, sampler)
            space.check()
            if is_complete(text, space, file.parent):
                return space, content.get("objectives", [content["objective"]])
    except ConfigError:
        raise
    except (OSError, ValueError, KeyError, YAMLError, OmegaConfBaseException):
        pass
    problem = f"{relative(file)} cannot be read"
    raise reject("sweep.name", file.absolute().parent.name, problem, "another sweep.name, or the folder moved away")


def keep(space: SearchSpace, objectives: list[str], folder: Path) -> None:
    """Write the space, and what chooses, into a sweep's directory, or see that it is the one that is there.

    Raises:
        ConfigError: another sweep has the directory; the message tells the difference. Or it is damaged.
    """
    file = folder / FILE
    if file.exists():
        lines = difference(*(told(*sweep) for sweep in (load(file), (space, objectives))))
        if lines:
            accepted = "the same command, to go on with it; or another sweep.name"
            raise ConfigError(f"sweep.name={folder.name}: it is another sweep\n{lines}\n  accepted: {accepted}")
        return
    more: dict[str, Any] = {"objectives": objectives if len(objectives) > 1 else []}
    more |= {name: list(getattr(space, name)) for name in LISTS} | {name: getattr(space, name) for name in TEXTS}
    content = {
        "objective": objectives[0],
        "values": space.values,
        **{key: value for key, value in more.items() if value},
    }
    text = OmegaConf.to_yaml(OmegaConf.create(content))
    write_text(file, f"# crc32 of the lines below: {zlib.crc32(text.encode()):08x}\n{text}")


def is_complete(text: str, space: SearchSpace, folder: Path) -> bool:
    """Whether nothing was cut off a file: half of it is YAML too, of a smaller sweep.

    Files of earlier versions have no checksum; the directories of the jobs show that one is cut.
    """
    if found := CHECKSUM.match(text):
        return int(found[1], 16) == zlib.crc32(text[found.end() :].encode())
    jobs = [int(path.name) for path in folder.iterdir() if path.name.isascii() and path.name.isdigit()]
    return bool(space.sampler) or max(jobs, default=-1) < len(space.jobs())


def is_whole(content: Any) -> bool:
    """Whether a file's content is a metric, and a list of texts for each key, and nothing wrong beside."""
    if not isinstance(content, dict) or not isinstance(content.get("objective"), str):
        return False
    values = content.get("values")
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        return False
    lists = [*values.values(), *(content[name] for name in (*LISTS, "objectives") if name in content)]
    texts = [content[name] for name in TEXTS if name in content]
    return all(are_texts(found) for found in lists) and all(isinstance(text, str) for text in texts)


def are_texts(found: Any) -> bool:
    """Whether a value is a list of texts that is not empty."""
    return isinstance(found, list) and bool(found) and all(isinstance(text, str) for text in found)


def told(space: SearchSpace, objectives: list[str]) -> dict[str, list[str]]:
    """Return all that makes a sweep this one, as keys and values that are typed."""
    own = {"sweep.zip": list(space.zipped), "sweep.where": [space.where], "sweep.sampler": [space.sampler]}
    own["sweep.objectives"] = objectives if len(objectives) > 1 else []
    return {**space.values, **{key: values for key, values in own.items() if any(values)}}


def difference(there: dict[str, list[str]], now: dict[str, list[str]]) -> str:
    """Return a line for each key whose values are not the same; nothing where all are, in the same order."""
    if list(there.items()) == list(now.items()):
        return ""
    lines: list[str] = []
    for key in [*there, *(key for key in now if key not in there)]:
        before, after = (shown(space.get(key)) for space in (there, now))
        if before != after:
            lines.append(f"  {key}: there {before}, now {after}")
    return "\n".join(lines) or "  the keys or values stand in another order"


def shown(values: Any) -> str:
    """Return values as they are typed."""
    return "nothing" if values is None else ",".join(values)

# SPDX-License-Identifier: Apache-2.0
"""A TOML table whose keys are read one by one, each checked, none forgotten."""

from typing import Any

from sequential_patchcore.runtime.errors import UserError


class Table:
    """A TOML table that knows its place in the file, and which of its keys were read."""

    def __init__(self, place: str, values: Any) -> None:
        if not isinstance(values, dict):
            raise UserError(f"{place} = {values!r}: expected a table")
        self.place, self.values, self._read = place, values, set()

    def take(self, key: str, kind: type | tuple, *default: Any) -> Any:
        self._read.add(key)
        if key not in self.values:
            if default:
                return default[0]
            raise UserError(f"{self.place}: expected a key '{key}'")
        value = self.values[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            names = " or ".join(each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)))
            raise UserError(f"{self.place}: {key} = {value!r}: expected {names}")
        return value

    def names(self, key: str, *default: Any) -> tuple[str, ...]:
        found = self.take(key, list, *default)
        if not all(isinstance(each, str) for each in found) or (not found and not default):
            raise UserError(f"{self.place}: {key} = {found!r}: expected a list of names")
        return tuple(found)

    def numbers(self, key: str, count: int) -> tuple[float, ...] | None:
        found = self.take(key, list, None)
        if found is None:
            return None
        good = all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in found)
        if len(found) != count or not good:
            raise UserError(f"{self.place}: {key} = {found!r}: expected {count} numbers")
        return tuple(float(each) for each in found)

    def table(self, key: str, *default: Any) -> "Table":
        return Table(f"{self.place}: [{key}]", self.take(key, dict, *default))

    def tables(self) -> list[tuple[str, "Table"]]:
        return [(key, self.table(key)) for key in self.values]

    def entries(self, key: str) -> list["Table"]:
        return [Table(f"{self.place}: [[{key}]] {k}", each) for k, each in enumerate(self.take(key, list), 1)]

    def done(self) -> None:
        """
        Raises:
            UserError: a key that nobody asked for.
        """
        unknown = [key for key in self.values if key not in self._read]
        if unknown:
            raise UserError(f"{self.place}: unknown key '{unknown[0]}'; allowed: {', '.join(sorted(self._read))}")

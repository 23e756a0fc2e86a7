# SPDX-License-Identifier: Apache-2.0
"""Constructor arguments as scikit-learn expects them of an estimator, without depending on it."""

import inspect
from typing import Any, Self


class Parameters:
    """Base of a class whose constructor keeps each of its arguments, unchanged, under the argument's own name."""

    @classmethod
    def _parameters(cls) -> dict[str, inspect.Parameter]:
        return dict(list(inspect.signature(cls.__init__).parameters.items())[1:])

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments of the constructor by name; `sklearn.base.clone` makes a fresh object of them.

        Args:
            deep: for scikit-learn; no argument has parameters of its own.
        """
        return {name: getattr(self, name) for name in self._parameters()}

    def set_params(self, **params: Any) -> Self:
        """Change arguments of the constructor; they count from the next `fit` on.

        Raises:
            ValueError: no such parameter; nothing has changed then.
        """
        known = self._parameters()
        for name in params:
            if name not in known:
                raise ValueError(f"{name!r} is no parameter of {type(self).__name__}; it has {', '.join(known)}")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        default = {name: parameter.default for name, parameter in self._parameters().items()}
        given = [f"{name}={value!r}" for name, value in self.get_params().items() if value != default[name]]
        return f"{type(self).__name__}({', '.join(given)})"

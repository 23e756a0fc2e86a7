# SPDX-License-Identifier: Apache-2.0
from .cli.parser import entry

entry()

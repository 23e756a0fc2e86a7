# SPDX-License-Identifier: Apache-2.0
"""The model file: a coreset and all that is needed to use it, in HDF5, no pickle anywhere; docs/model_file.md says how.

Every vector knows where it came from: /coreset/source is a row of /sources, /coreset/position the patch's (y, x) on
the feature grid of that image. Here are the names by which the rest of the program uses it.
"""

from .check import check_model as check_model
from .contents import Model as Model
from .contents import Threshold as Threshold
from .memory import Memory as Memory
from .naming import Naming as Naming
from .products import Product as Product
from .products import Zones as Zones
from .reading import load_model as load_model
from .reading import read_request as read_request
from .writing import FORMAT_VERSION as FORMAT_VERSION
from .writing import save_model as save_model

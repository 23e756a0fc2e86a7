# SPDX-License-Identifier: Apache-2.0
"""What every long job needs: errors, files, progress, interruption, the memory budget; no torch at import."""

# SPDX-License-Identifier: GPL-3.0-or-later
"""What is inspected and with what: plate and brushing, light, camera, sensor, and where the camera stands."""

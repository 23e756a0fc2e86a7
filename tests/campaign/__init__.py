# SPDX-License-Identifier: Apache-2.0
"""The campaign: damaged files, kills, full disks, load and budgets against the whole product (docs/campaign.md)."""

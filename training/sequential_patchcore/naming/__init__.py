# SPDX-License-Identifier: Apache-2.0
"""What an alarm is: the patches of each predicted region to a name."""

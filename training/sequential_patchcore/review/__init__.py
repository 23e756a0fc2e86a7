# SPDX-License-Identifier: Apache-2.0
"""A person in the loop: alarms decided in the browser, kept in a journal, taught to the memory, undone."""

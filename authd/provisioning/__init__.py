"""Provisioning: a declared state is compared with the current one, and the plan's effects bring it about.

The nouns' modules and `state`, `plan`, `effects`, `site` are pure; `provisioner` runs plans, `demo` is built on it.
"""

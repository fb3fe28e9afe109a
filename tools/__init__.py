"""The command-line tools: one thin file per noun (installed as the package `authd_tools`)."""

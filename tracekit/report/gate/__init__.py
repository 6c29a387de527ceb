"""Renderers of a `GateResult`: text, Markdown, JUnit XML, and what GitHub's runners read."""

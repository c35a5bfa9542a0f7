"""Objectives: what data means, what a model is asked, and how its answers are scored.

One module an objective; :data:`sftkit.tasks.registry.OBJECTIVES` names them all.
"""

"""Recipes, one a task, and the index of published adapters; installed as adapterstilts.zoo."""

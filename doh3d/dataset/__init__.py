"""Many shapes: from a collection of meshes to a Parquet dataset, and back.

What is to be done lies in `sources` and `plan`, what has been done in `rows`, `store` and
`journal`, and how it is done in `tasks` (one shape) and the engines (`local`, `ray_engine`).
"""

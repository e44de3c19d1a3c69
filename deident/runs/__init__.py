"""Many recordings into one store: the run, its workers, local processes or a Dask cluster, and what is committed."""

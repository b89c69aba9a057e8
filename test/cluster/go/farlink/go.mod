module pgpack.io/test/cluster/farlink

go 1.24.0

module ucwarden/tools/rangerdiff

go 1.26.0

require ucwarden v0.0.0

require (
	github.com/dlclark/regexp2/v2 v2.5.2 // indirect
	github.com/dop251/goja v0.0.0-20260917113740-793a2a65c13b // indirect
	github.com/go-sourcemap/sourcemap v2.1.3+incompatible // indirect
	github.com/google/pprof v0.0.0-20240227163752-401108e1b7e7 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace ucwarden => ../..

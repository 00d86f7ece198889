// Prints the default seccomp profile of a library that CRI-O carries, as JSON. record.py puts the import in.
package main

import (
	"encoding/json"
	"os"

	seccomp "LIBRARY"
)

func main() {
	if err := json.NewEncoder(os.Stdout).Encode(seccomp.DefaultProfile()); err != nil {
		panic(err)
	}
}

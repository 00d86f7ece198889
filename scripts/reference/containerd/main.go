// Records the built-in profile of the containerd that it is compiled against.
//
// Reads one bounding set a line, a JSON list of capabilities; writes the section that containerd's public function makes
// of it, for the GOARCH of this build and the kernel it runs on. record.py beside it builds one for each release.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var bounding []string
		must(json.Unmarshal(lines.Bytes(), &bounding))
		capabilities := &specs.LinuxCapabilities{Bounding: bounding}
		spec := &specs.Spec{Process: &specs.Process{Capabilities: capabilities}}
		must(out.Encode(seccomp.DefaultProfile(spec)))
	}
	must(lines.Err())
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

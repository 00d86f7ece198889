// Records what Go's encoding/json makes of texts and values.
//
// Reads one case a line: {"decode": "<text>"} or {"encode": "<text>"}, where every character of a text stands for the
// byte of that number. Writes one answer a line: for decode, what Unmarshal leaves in each type below or its error; for
// encode, what Marshal writes for the string. record.py beside it builds it, asks and keeps the answers.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Word, Inner and Everything hold one field of every kind that the decoder in runtimes/gojson knows.
type Word string

type Inner struct {
	Name  string   `json:"name"`
	Count *uint    `json:"count,omitempty"`
	Words []string `json:"words"`
}

type Everything struct {
	Text     string            `json:"text"`
	Word     Word              `json:"word"`
	Flag     bool              `json:"flag"`
	Uint     uint              `json:"uint"`
	Uint8    uint8             `json:"uint8"`
	Uint32   uint32            `json:"uint32"`
	Uint64   uint64            `json:"uint64"`
	Int      int               `json:"int"`
	Int32    int32             `json:"int32"`
	Int64    int64             `json:"int64"`
	Pointer  *uint             `json:"pointer"`
	Task     []Word            `json:"task"`
	Matrix   [][]uint32        `json:"matrix"`
	Inner    Inner             `json:"inner"`
	List     []Inner           `json:"list"`
	Pointers []*Inner          `json:"pointers"`
	Sizes    map[string]uint32 `json:"sizes"`
	Named    map[string]Inner  `json:"named"`
}

type question struct {
	Decode *string `json:"decode"`
	Encode *string `json:"encode"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		var asked question
		must(json.Unmarshal(lines.Bytes(), &asked))
		answer := map[string]string{}
		if asked.Encode != nil {
			answer["text"] = string(marshal(string(bytesOf(*asked.Encode))))
		} else {
			data := bytesOf(*asked.Decode)
			decode(answer, "seccomp", data, &specs.LinuxSeccomp{})
			decode(answer, "everything", data, &Everything{})
			decode(answer, "any", data, new(any))
		}
		out.Write(marshal(answer))
		out.WriteByte('\n')
	}
	must(lines.Err())
}

func decode(answer map[string]string, target string, data []byte, into any) {
	if err := json.Unmarshal(data, into); err != nil {
		answer[target] = "error: " + err.Error()
	} else {
		answer[target] = string(marshal(into))
	}
}

func bytesOf(text string) []byte {
	var data []byte
	for _, number := range text {
		data = append(data, byte(number))
	}
	return data
}

func marshal(value any) []byte {
	data, err := json.Marshal(value)
	must(err)
	return data
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

package main

import "strings"

var testImage = sampleImage{
	registry: "10.1.2.3:5001", dropletGUID: "3e7f3a0c-7c1d-4a55-9d1b-5a2f2c6e9d10", dropletHash: strings.Repeat("ab", 20), revision: "0123456789ab",
}

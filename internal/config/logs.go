package config

import "log/slog"

// Logs says what is logged. Files are opened anew on SIGUSR1.
type Logs struct {
	// Program is what the program says about itself, on standard error.
	Program ProgramLog `yaml:"program"`

	// Connection has a line for each connection, refused ones included. Left
	// out: off.
	Connection *ConnectionLog `yaml:"connection" hint:"leave the key out to switch the log off"`

	// Access has a line for each request, refused ones included. Left out: off.
	Access *AccessLog `yaml:"access" hint:"leave the key out to switch the log off"`
}

// A ProgramLog is what the program says about itself.
type ProgramLog struct {
	// Level is the least that is logged: debug, info, warn or error. Default info.
	Level slog.Level `yaml:"level" one:"debug|info|warn|error" default:"info"`

	// Format is text or json. Default text.
	Format string `yaml:"format" one:"text|json" default:"text"`
}

// A ConnectionLog has a line for each connection.
type ConnectionLog struct {
	// Path is a file, or - for standard output.
	Path string `yaml:"path,required" is:"output"`

	// Format is aws (the fields of an ALB connection log) or json. Default aws.
	Format string `yaml:"format" one:"aws|json" default:"aws"`
}

// An AccessLog has a line for each request.
type AccessLog struct {
	// Path is a file, or - for standard output.
	Path string `yaml:"path,required" is:"output"`

	// Format is aws (the fields of an ALB access log), json, or combined (as
	// Apache's and nginx's). Default aws.
	Format string `yaml:"format" one:"aws|json|combined" default:"aws"`
}

func (l *Logs) check(c *checker) {
	if l.Connection != nil && l.Access != nil && l.Connection.Path == l.Access.Path && l.Access.Path != "-" {
		c.fault("logs.access.path", quoted(l.Access.Path)+" again", "a file of its own", "logs.connection writes to it")
	}
}

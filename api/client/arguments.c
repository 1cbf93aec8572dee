#include "api/client/arguments.h"

#include "api/client/commands.h"
#include "daemon/base/guess.h"
#include "daemon/base/name_rule.h"
#include "daemon/base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct client_option_row client_options[CLIENT_OPTION_COUNT] = {
#define X(symbol, name, value, is_list, meaning) {name, value, is_list, meaning},
    CLIENT_OPTIONS(X)
#undef X
};

/* Letters that stand for an option. */
static const struct {
    char letter;
    enum client_option option;
} letters[] = {{'h', CLIENT_OPTION_HELP}, {'o', CLIENT_OPTION_OUTPUT}};

/* What the commands from `first` on have in common. */
static const struct {
    const char *first, *heading;
} groups[] = {{"sweep", "Measure"},
              {"series", "Read results"},
              {"sweeps", "Follow the work"},
              {"watch", "Watch a model that is still being trained"},
              {"status", "The daemon"}};

/* Options that mean something else to one command. */
static const struct {
    const char *command;
    enum client_option option;
    const char *meaning;
} own_meanings[] = {
    {"displacement", CLIENT_OPTION_LIMIT, "so many revisions, evenly chosen (default: 400; 8 in a table)"},
    {"perplexity", CLIENT_OPTION_REVISION, "the revision to score (default: main)"},
};

const struct client_command *client_command_find(const char *name)
{
    for (size_t i = 0; i < client_command_count; i++) {
        if (strcmp(client_commands[i].name, name) == 0)
            return &client_commands[i];
    }
    return NULL;
}

/* What a command that does not exist is meant for. */
static const char *ask_command(const char *name, char question[GUESS_QUESTION_SIZE])
{
    struct guess guess;
    guess_init(&guess, name);
    for (size_t i = 0; i < client_command_count; i++)
        guess_offer(&guess, client_commands[i].name);
    return guess_ask(&guess, "", question);
}

/* What an option is meant for: one of the command's, or of any where no command came before it. */
static const char *ask_option(const struct client_command *command, const char *name,
                              char question[GUESS_QUESTION_SIZE])
{
    uint64_t wanted = command ? command->options | CLIENT_OPTIONS_COMMON : UINT64_MAX;
    struct guess guess;
    guess_init(&guess, name);
    for (int i = 0; i < CLIENT_OPTION_COUNT; i++) {
        if (wanted & UINT64_C(1) << i)
            guess_offer(&guess, client_options[i].name);
    }
    return guess_ask(&guess, "--", question);
}

static size_t count_words(const char *words)
{
    size_t count = words[0] != '\0';
    for (; *words; words++)
        count += *words == ' ';
    return count;
}

/* How many words a command must and may have. */
static size_t words_min(const char *words)
{
    return words[0] == '[' ? 0 : count_words(words);
}

static size_t words_max(const char *words)
{
    return strstr(words, "...") ? CLIENT_WORDS_MAX : count_words(words);
}

int client_option_find(const char *word, const char **ret_value)
{
    int found = 0;
    if (word[1] != '-') {
        for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
            if (letters[i].letter == word[1]) {
                *ret_value = word[2] ? word + 2 : NULL;
                return (int)letters[i].option;
            }
        }
        return CLIENT_OPTION_COUNT;
    }
    const char *text = word + 2;
    size_t length = strcspn(text, "=");
    while (found < CLIENT_OPTION_COUNT && (strlen(client_options[found].name) != length ||
                                           memcmp(client_options[found].name, text, length) != 0))
        found++;
    *ret_value = text[length] == '=' ? text + length + 1 : NULL;
    return found;
}

/* JSON has no other text, and what is left out of a request is not what was asked for. Files that are read or
 * written here may be called anything. */
static int check_text(const char *what, const char *text, struct err *err)
{
    return utf8_is_valid(text, strlen(text)) ? 0
                                             : err_set(err, ERR_INVALID, "%s %.60s: not UTF-8", what, text);
}

static int check_value(const struct client_option_row *option, const char *value, struct err *err)
{
    char what[40];
    if (strcmp(option->value, "FILE") == 0)
        return 0;
    (void)snprintf(what, sizeof what, "--%s", option->name);
    return check_text(what, value, err);
}

/* Reads the option at argv[*at], with its value there or in the next word. */
static int take_option(int argc, char **argv, int *at, struct client_arguments *arguments, struct err *err)
{
    const char *value = NULL;
    int found = client_option_find(argv[*at], &value);
    if (found == CLIENT_OPTION_COUNT) {
        char question[GUESS_QUESTION_SIZE], name[GUESS_WORD_BYTES_MAX + 1];
        const char *text = argv[*at] + strspn(argv[*at], "-");
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(text, "="), text);
        return err_set(err, ERR_INVALID, "there is no option %.60s%s", argv[*at],
                       ask_option(arguments->command, name, question));
    }
    const struct client_option_row *option = &client_options[found];
    if (!option->value && value)
        return err_set(err, ERR_INVALID, "--%s takes no value", option->name);
    if (option->value && !value) {
        if (*at + 1 == argc)
            return err_set(err, ERR_INVALID, "--%s needs a value: %s", option->name, option->value);
        value = argv[++*at];
    }
    if (value && check_value(option, value, err))
        return err->code;
    if (option->is_list) {
        if (arguments->list_count == CLIENT_LIST_MAX)
            return err_set(err, ERR_INVALID, "--%s is given more than %d times", option->name,
                           CLIENT_LIST_MAX);
        arguments->list[arguments->list_count].option = (enum client_option)found;
        arguments->list[arguments->list_count++].value = value;
    } else if (arguments->values[found] && option->value) {
        return err_set(err, ERR_INVALID, "--%s is given twice", option->name);
    }
    arguments->values[found] = value ? value : "";
    return 0;
}

/* Options may come before the command too, so they are matched with it at the end. */
static int check(const struct client_arguments *arguments, struct err *err)
{
    const struct client_command *command = arguments->command;
    if (arguments->values[CLIENT_OPTION_HELP])
        return 0;
    if (!command)
        return err_set(err, ERR_INVALID, "a command is missing");
    for (int i = 0; i < CLIENT_OPTION_COUNT; i++) {
        if (arguments->values[i] && !((command->options | CLIENT_OPTIONS_COMMON) & UINT64_C(1) << i))
            return err_set(err, ERR_INVALID, "%s has no option --%s", command->name, client_options[i].name);
    }
    if (arguments->values[CLIENT_OPTION_JSON] && arguments->values[CLIENT_OPTION_CSV])
        return err_set(err, ERR_INVALID, "--json and --csv exclude each other");
    if (arguments->word_count < words_min(command->words))
        return err_set(err, ERR_INVALID, "%s needs %s", command->name, command->words);
    return 0;
}

/* People write 200B, not 200000000000: where names of revisions count tokens or words, so do these. */
static void spell_steps(struct client_arguments *arguments)
{
    static const enum client_option options[CLIENT_STEPS_MAX] = {CLIENT_OPTION_FROM, CLIENT_OPTION_TO,
                                                                 CLIENT_OPTION_WARMUP, CLIENT_OPTION_STABLE,
                                                                 CLIENT_OPTION_TOTAL};
    for (size_t i = 0; i < CLIENT_STEPS_MAX; i++) {
        const char *value = arguments->values[options[i]];
        int64_t numbers[NAME_RULE_PART_COUNT] = {0};
        if (!value || !strpbrk(value, "KkMmBbTt") || !name_rule_read("{tokens}", value, numbers))
            continue;
        (void)snprintf(arguments->steps[i], sizeof arguments->steps[i], "%" PRId64,
                       numbers[NAME_RULE_PART_TOKENS]);
        arguments->values[options[i]] = arguments->steps[i];
    }
}

int client_arguments_parse(int argc, char **argv, struct client_arguments *arguments, struct err *err)
{
    *arguments = (struct client_arguments){0};
    int only_words = 0;
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        if (!only_words && strcmp(word, "--") == 0) {
            only_words = 1;
        } else if (!only_words && word[0] == '-' && word[1]) {
            int code = take_option(argc, argv, &at, arguments, err);
            if (code)
                return code;
        } else if (!arguments->command) {
            if (strcmp(word, "help") == 0) {
                arguments->values[CLIENT_OPTION_HELP] = "";
                continue;
            }
            arguments->command = client_command_find(word);
            if (!arguments->command) {
                char question[GUESS_QUESTION_SIZE];
                return err_set(err, ERR_INVALID, "there is no command \"%.60s\"%s", word,
                               ask_command(word, question));
            }
        } else {
            if (arguments->word_count == words_max(arguments->command->words))
                return err_set(err, ERR_INVALID, "%s: one argument too many: \"%.60s\"",
                               arguments->command->name, word);
            if (check_text("argument", word, err))
                return err->code;
            arguments->words[arguments->word_count++] = word;
        }
    }
    spell_steps(arguments);
    return check(arguments, err);
}

static const char *meaning_of(const struct client_command *command, int option)
{
    for (size_t i = 0; command && i < sizeof own_meanings / sizeof own_meanings[0]; i++) {
        if ((int)own_meanings[i].option == option && strcmp(own_meanings[i].command, command->name) == 0)
            return own_meanings[i].meaning;
    }
    return client_options[option].meaning;
}

static void print_options(const struct client_command *command, uint64_t wanted, FILE *stream)
{
    for (int i = 0; i < CLIENT_OPTION_COUNT; i++) {
        char left[48];
        if (!(wanted & UINT64_C(1) << i))
            continue;
        char letter[8] = "";
        for (size_t k = 0; k < sizeof letters / sizeof letters[0]; k++) {
            if ((int)letters[k].option == i)
                (void)snprintf(letter, sizeof letter, "-%c, ", letters[k].letter);
        }
        (void)snprintf(left, sizeof left, "%s--%s%s%s", letter, client_options[i].name,
                       client_options[i].value ? " " : "",
                       client_options[i].value ? client_options[i].value : "");
        (void)fprintf(stream, "  %-24s %s\n", left, meaning_of(command, i));
    }
}

void client_arguments_help(const struct client_command *command, FILE *stream)
{
    if (command) {
        (void)fprintf(stream, "usage: bifurcate %s %s%s[options]\n\n%s.\n", command->name, command->words,
                      command->words[0] ? " " : "", command->summary);
        if (command->details[0])
            (void)fprintf(stream, "\n%s\n", command->details);
        if (command->options)
            (void)fputs("\noptions:\n", stream);
        print_options(command, command->options, stream);
        (void)fputs("\noptions of every command:\n", stream);
        print_options(command, CLIENT_OPTIONS_COMMON, stream);
        return;
    }
    (void)fputs("usage: bifurcate COMMAND [arguments] [options]\n\n"
                "Asks a running bifurcated how a model's weights moved while it was trained.\n",
                stream);
    for (size_t i = 0; i < client_command_count; i++) {
        char left[48];
        for (size_t k = 0; k < sizeof groups / sizeof groups[0]; k++) {
            if (strcmp(groups[k].first, client_commands[i].name) == 0)
                (void)fprintf(stream, "\n%s:\n", groups[k].heading);
        }
        (void)snprintf(left, sizeof left, "%s %s", client_commands[i].name, client_commands[i].words);
        (void)fprintf(stream, "  %-24s %s\n", left, client_commands[i].summary);
    }
    (void)fputs("\noptions of every command:\n", stream);
    print_options(NULL, CLIENT_OPTIONS_COMMON, stream);
    (void)fputs(
        "\n`bifurcate COMMAND --help` shows the options of a command; --version (-V) prints the version.\n"
        "MODEL is owner/name on the hub, or a folder of checkpoints: file:/path, or a path that begins\n"
        "with a slash or a dot.\n\nexit status:\n",
        stream);
#define X(symbol, value, meaning) (void)fprintf(stream, "  %-4d %s\n", value, meaning);
    CLIENT_EXITS(X)
#undef X
}

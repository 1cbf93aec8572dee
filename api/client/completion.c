#include "api/client/completion.h"

#include "api/client/arguments.h"
#include "api/client/link.h"

#include <string.h>

#define WORD_MAX 32
#define MODELS_TIMEOUT_S 3 /* somebody waits at the tabulator key */

/* The values of options that are one of a few words; of "A,B,..." several. */
static const struct {
    enum client_option option;
    const char *command; /* NULL: of every command */
    const char *words;
} choices[] = {
    {CLIENT_OPTION_METRIC, NULL, "statistics perplexity"},
    {CLIENT_OPTION_MODE, NULL, "last_word tokens text_mean"},
    {CLIENT_OPTION_SCHEDULE, NULL,
     "constant cosine linear cosine_neox wsd wsd_cosine wsd_sqrt wsd_exponential"},
    {CLIENT_OPTION_VIEW, NULL, "raw centred"},
    {CLIENT_OPTION_ROWS, NULL, "all tokens"},
    {CLIENT_OPTION_AXIS, NULL, "log linear"},
    {CLIENT_OPTION_UNIT, NULL, "tokens steps words epochs checkpoints"},
    {CLIENT_OPTION_PANELS, NULL, "heat displacement bimodality dip ashman valley coefficient perplexity"},
    {CLIENT_OPTION_SCOPES, NULL, "read sweep worker admin"},
    {CLIENT_OPTION_STATE, "sweeps", "planning running done failed cancelled"},
    {CLIENT_OPTION_STATE, "tasks", "queued claimed done failed cancelled"},
    {CLIENT_OPTION_STATE, "jobs", "submitting pending running ended refused"},
};

/* What is being typed. */
struct completion {
    struct client_arguments arguments; /* before it; with the command, or NULL */
    enum client_option option;         /* whose value it is; CLIENT_OPTION_COUNT: of none */
    char kept[512];                    /* in front of what is offered: "--name=", "heat," */
    const char *current;               /* the rest of the word, of which candidates begin */
    FILE *stream;
};

static void offer(const struct completion *completion, const char *candidate, const char *meaning)
{
    if (strncmp(candidate, completion->current, strlen(completion->current)) == 0)
        (void)fprintf(completion->stream, "%s%s%s%s\n", completion->kept, candidate, meaning[0] ? "\t" : "",
                      meaning);
}

static void offer_commands(const struct completion *completion)
{
    for (size_t i = 0; i < client_command_count; i++)
        offer(completion, client_commands[i].name, client_commands[i].summary);
}

static void offer_options(const struct completion *completion)
{
    const struct client_command *command = completion->arguments.command;
    uint64_t wanted = CLIENT_OPTIONS_COMMON | (command ? command->options : 0);
    for (int i = 0; i < CLIENT_OPTION_COUNT; i++) {
        char name[2 + WORD_MAX];
        (void)snprintf(name, sizeof name, "--%s", client_options[i].name);
        if (wanted & UINT64_C(1) << i)
            offer(completion, name, client_options[i].meaning);
    }
}

/* Whether a shell would take the name as it is. Names come from elsewhere, and what is completed is soon
 * executed: one that would have to be quoted is not offered. */
static int is_harmless(const char *name)
{
    size_t letters = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/:@+=,-");
    return letters > 0 && name[letters] == '\0' && name[0] != '-';
}

static void offer_models(const struct completion *completion)
{
    struct client_link *link = NULL;
    struct err ignored = ERR_INIT;
    json_t *document = NULL;
    const json_t *row;
    size_t i;
    if (client_link_open(&completion->arguments, &link, &ignored))
        return;
    client_link_set_timeout(link, MODELS_TIMEOUT_S);
    if (client_link_get(link, "/v1/models?limit=10000&fields=name", &document, &ignored) == 0) {
        json_array_foreach(json_object_get(document, "models"), i, row)
        {
            const char *name = json_string_value(json_object_get(row, "name"));
            if (name && is_harmless(name))
                offer(completion, name, "");
        }
    }
    json_decref(document);
    client_link_close(link);
}

static void offer_choices(struct completion *completion)
{
    const struct client_command *command = completion->arguments.command;
    const char *comma = strrchr(completion->current, ',');
    if (comma && strchr(client_options[completion->option].value, ',')) {
        size_t kept = strlen(completion->kept), more = (size_t)(comma + 1 - completion->current);
        if (kept + more >= sizeof completion->kept)
            return;
        memcpy(completion->kept + kept, completion->current, more);
        completion->kept[kept + more] = '\0';
        completion->current += more;
    }
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        if (choices[i].option != completion->option ||
            (choices[i].command && (!command || strcmp(choices[i].command, command->name) != 0)))
            continue;
        for (const char *word = choices[i].words; *word;) {
            char text[WORD_MAX];
            size_t length = strcspn(word, " ");
            (void)snprintf(text, sizeof text, "%.*s", (int)length, word);
            offer(completion, text, "");
            word += length + (word[length] == ' ');
        }
    }
}

static void offer_value(struct completion *completion)
{
    const char *value = client_options[completion->option].value;
    if (strcmp(value, "MODEL") == 0)
        offer_models(completion);
    else if (strcmp(value, "FILE") != 0 && strcmp(value, "PATH") != 0)
        offer_choices(completion);
    else
        (void)fputs(CLIENT_COMPLETION_FILES "\n", completion->stream);
}

/* What the command line says before the word that is being typed. */
static void read_words(struct completion *completion, int count, char **words, int *ret_is_only_words)
{
    struct client_arguments *arguments = &completion->arguments;
    for (int i = 0; i < count; i++) {
        const char *word = words[i], *value = NULL;
        if (!*ret_is_only_words && strcmp(word, "--") == 0) {
            *ret_is_only_words = 1;
        } else if (!*ret_is_only_words && word[0] == '-' && word[1]) {
            int option = client_option_find(word, &value);
            if (option == CLIENT_OPTION_COUNT || !client_options[option].value)
                continue;
            if (!value && i + 1 == count)
                completion->option = (enum client_option)option;
            arguments->values[option] = value ? value : i + 1 < count ? words[++i] : NULL;
        } else if (!arguments->command) {
            arguments->command = client_command_find(word);
        } else {
            arguments->word_count++;
        }
    }
}

/* Whether the next argument of the command is a model: of "MODEL" or "MODEL REVISION" the first, of
 * "MODEL..." and "[MODEL...]" any. */
static int is_model_next(const struct client_arguments *arguments)
{
    const char *words = arguments->command->words;
    if (strcmp(words, "[MODEL...]") == 0)
        return 1;
    return strncmp(words, "MODEL", 5) == 0 && (arguments->word_count == 0 || strcmp(words, "MODEL...") == 0);
}

void client_complete(int count, char **words, FILE *stream)
{
    struct completion completion = {.option = CLIENT_OPTION_COUNT, .stream = stream};
    int is_only_words = 0;
    if (count < 1)
        return;
    read_words(&completion, count - 1, words, &is_only_words);
    completion.current = words[count - 1];
    if (!is_only_words && completion.option == CLIENT_OPTION_COUNT && completion.current[0] == '-') {
        const char *value = NULL;
        int option = client_option_find(completion.current, &value);
        if (option == CLIENT_OPTION_COUNT || !value || !client_options[option].value) {
            offer_options(&completion);
            return;
        }
        size_t kept = (size_t)(value - completion.current);
        (void)snprintf(completion.kept, sizeof completion.kept, "%.*s", (int)kept, completion.current);
        completion.option = (enum client_option)option;
        completion.current = value;
    }
    if (completion.option != CLIENT_OPTION_COUNT)
        offer_value(&completion);
    else if (!completion.arguments.command)
        offer_commands(&completion);
    else if (is_model_next(&completion.arguments)) {
        if (strcmp(completion.arguments.command->name, "plot") == 0 && completion.arguments.word_count == 0)
            offer(&completion, "scaling", "Onset against model size over all models");
        offer_models(&completion);
    }
}

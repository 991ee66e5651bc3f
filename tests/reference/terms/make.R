# Rscript make.R > terms.json (R 4.2.2; car 3.1.1, lmerTest 3.1.3, nlme 3.1.162)
suppressMessages({library(car); library(lmerTest); library(nlme); library(jsonlite)})
set.seed(11)
d <- expand.grid(a = c("p", "q", "r"), b = c("u", "v"), rep = 1:5)
d <- d[-c(2, 5, 9, 14, 15, 21, 28), ]
d$x <- round(rnorm(nrow(d), 4), 2); d$z <- round(runif(nrow(d)), 3); d$w <- round(runif(nrow(d), .5, 2), 3)
d$y <- round(2 + (d$a == "q") - (d$b == "v") + 0.5 * d$x + (d$a == "r") * d$x * 0.3 + rnorm(nrow(d)), 4)
d$a <- factor(d$a); d$b <- factor(d$b)
tab <- function(m) { m <- as.data.frame(m); list(term = trimws(rownames(m)), table = m) }
sums <- function() options(contrasts = c("contr.sum", "contr.poly")); trt <- function() options(contrasts = c("contr.treatment", "contr.poly"))
out <- list(data = d, lm = list(), lmer = list(), gls = list())
for (f in c("y ~ a * b", "y ~ a + b + x", "y ~ a * x + b", "y ~ a * b * x + z", "y ~ poly(x, 2) * a")) for (wt in c(FALSE, TRUE)) {
  fit <- function() if (wt) lm(as.formula(f), d, weights = w) else lm(as.formula(f), d)
  trt(); m <- fit(); one <- tab(anova(m)); two <- tab(Anova(m, type = 2)); sums(); three <- tab(Anova(fit(), type = 3)); trt()
  out$lm[[length(out$lm) + 1]] <- list(formula = f, weighted = wt, one = one, two = two, three = three)
}
m <- lm(y ~ a * x + b, d)
h <- linearHypothesis(m, c("aq - ar = 0.5", "x = 1"))
out$hypothesis <- list(F = h$F[2], df = h$Df[2], p = h$`Pr(>F)`[2])
rows <- read.csv("sets.csv")
for (k in seq_len(nrow(rows))) {
  e <- new.env(); data(list = rows$data[k], package = rows$package[k], envir = e); s <- as.data.frame(get(rows$data[k], e))
  if (rows$data[k] == "Oats") s$Block <- factor(s$Block, ordered = FALSE); if (rows$data[k] == "Machines") s$Worker <- factor(s$Worker, ordered = FALSE)
  if (rows$data[k] == "cake") s$temperature <- factor(s$temperature, ordered = FALSE)
  m <- lmer(as.formula(rows$formula[k]), s, control = lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10)))
  out$lmer[[k]] <- list(data = rows$data[k], formula = rows$formula[k], one = tab(anova(m, type = 1)), two = tab(anova(m, type = 2)), three = tab(anova(m, type = 3)))
}
g <- gls(follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time) + Time, Ovary, correlation = corAR1(form = ~ 1 | Mare))
a1 <- anova(g, type = "sequential"); a3 <- anova(g, type = "marginal")
out$gls <- list(sequential = list(F = a1$`F-value`, p = a1$`p-value`), marginal = list(F = a3$`F-value`, p = a3$`p-value`))
cat(toJSON(out, digits = NA, dataframe = "columns"))
